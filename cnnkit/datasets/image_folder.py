"""ImageFolder: pictures in folders, one folder per class."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array
from cnnkit.base import Data, DataPaths, Dataset, DatasetInfo, PairOrNone, default
from cnnkit.base.component import PathText
from cnnkit.datasets.arrays import Part, assemble
from cnnkit.datasets.files import content, exists, problem
from cnnkit.errors import DataError, DataUnavailable

Mode = Literal["grayscale", "rgb"]

_DEEP = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})  # Pillow's names


def read_pictures(paths: list[Path], mode: Mode, size: tuple[int, int] | None) -> Array:
    """Return pictures (N, C, H, W) uint8.

    Args:
        size: (height, width) to resize each to; None where all have the size of the first.

    Raises:
        DataError: naming the picture that cannot be read, or is of another size.
    """
    first = read_picture(paths[0], mode, size)
    pictures = np.empty((len(paths), *first.shape), np.uint8)
    for index, path in enumerate(paths):
        picture = read_picture(path, mode, size)
        if picture.shape != first.shape:
            raise problem(
                path,
                f"{path.name} has another size than the pictures before it",
                expected=f"height and width {first.shape[1:]}, as in {paths[0]}",
                got=str(picture.shape[1:]),
                help=f"resize all of them: size = {list(first.shape[1:])} in [data]",
            )
        pictures[index] = picture
    return pictures


def read_picture(path: Path, mode: Mode, size: tuple[int, int] | None) -> Array:
    """Return one picture (C, H, W) uint8, C = 3 for "rgb" and 1 for "grayscale".

    Raises:
        DataError: where Pillow is missing, or cannot read the picture.
    """
    try:
        import PIL.Image
    except ImportError as error:
        help = 'pip install "cnnkit[images]"'
        raise problem(path, "reading pictures needs Pillow", help=help) from error
    try:
        with content(path) as raw, warnings.catch_warnings():
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            return _decode(raw, path, mode, size)
    except DataUnavailable as error:  # one that is gone is damage: the other pictures are there
        raise DataError(str(error)) from error


def _decode(raw: BinaryIO, path: Path, mode: Mode, size: tuple[int, int] | None) -> Array:
    from PIL import Image, ImageOps

    try:
        with Image.open(raw) as image:
            image.verify()  # compares a PNG's checksums, which decoding does not
        raw.seek(0)
        with Image.open(raw) as image:
            if image.mode in _DEEP:
                what, got = f"{path.name} has more than 8 bits per channel", f"mode {image.mode}"
                help = "save it with 8 bits per channel"
                raise problem(path, what, expected="8 bits", got=got, help=help)
            upright = ImageOps.exif_transpose(image).convert("RGB" if mode == "rgb" else "L")
            if size is not None and upright.size != size[::-1]:
                upright = upright.resize(size[::-1], Image.Resampling.BILINEAR)
            pixels = np.array(upright)  # (H, W) or (H, W, 3)
    except DataError:
        raise
    except Exception as error:  # Pillow raises a dozen types on damaged bytes
        what = f"{path.name} is not a picture that can be read, or is damaged"
        help = "open it in a picture viewer; mend it, or leave it out"
        raise problem(path, what, got=f"{type(error).__name__}: {error}", help=help) from error
    return pixels[None] if mode == "grayscale" else pixels.transpose(2, 0, 1)


Listing = dict[str, list[Path]]
"""Class name -> its pictures, both sorted by name."""

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


def classes_in(folder: Path, say: Callable[[str], None]) -> Listing:
    """Return the classes of `folder`: its sub-folders, hidden ones left out.

    Raises:
        DataUnavailable: where there is no such folder.
        DataError: where there are no classes, or one without a picture.
    """
    folders = [entry for entry in _entries(folder) if entry.is_dir()]
    if not folders:
        what = f"there are no class folders in {folder.name}"
        expected = "one folder of pictures per class, such as cat/ and dog/"
        raise problem(folder, what, expected=expected)
    return {entry.name: _pictures(entry, say) for entry in folders}


def _pictures(folder: Path, say: Callable[[str], None]) -> list[Path]:
    entries = _entries(folder)
    pictures = [path for path in entries if path.suffix.lower() in SUFFIXES]
    if not pictures:
        what = f"there are no pictures in the class folder {folder.name}"
        expected = f"files named {', '.join(sorted(SUFFIXES))}"
        raise problem(folder, what, expected=expected, got=f"{len(entries)} other files")
    if len(pictures) < len(entries):
        other = next(path for path in entries if path not in pictures)
        say(f"{folder}: {len(entries) - len(pictures)} files are no pictures, such as {other.name}")
    return pictures


def _entries(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError as error:
        raise problem(folder, f"there is no folder {folder.name}", kind=DataUnavailable) from error
    except OSError as error:
        raise problem(folder, f"cannot list {folder.name}: {error.strerror}") from error
    return sorted(found, key=lambda path: path.name)


class ImageFolder(Dataset):
    """Pictures in `train/<class>/` and `test/<class>/`, or in `<class>/` alone; needs Pillow.

    Classes and pictures come in the order of their names. Transparency is dropped, the
    orientation a camera noted is applied, and of an animation the first frame is taken.
    """

    type: Literal["image_folder"] = "image_folder"

    path: PathText
    """The folder; relative to the spec's folder."""
    size: PairOrNone = default(None)
    """Height and width that every picture is resized to; without it all must be of one size."""
    mode: Mode = "rgb"
    """Whether pictures are read as "rgb", 3 channels, or "grayscale", 1 channel."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class set aside for test, where there are no folders train and test."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Chooses which pictures are set aside for test; adding pictures moves few of the others."""

    def info(self, paths: DataPaths) -> DatasetInfo | None:
        """Read the names of the folders and, where no size is given, the first picture."""
        folder = paths.spec_dir / self.path
        if not exists(folder):
            return None
        train, _ = self._listings(folder, say=lambda line: None)
        if self.size is not None:
            return DatasetInfo((3 if self.mode == "rgb" else 1, *self.size), len(train))
        first = next(iter(train.values()))[0]
        return DatasetInfo(read_picture(first, self.mode, None).shape, len(train))

    def load(self, paths: DataPaths) -> Data:
        folder = paths.spec_dir / self.path
        train, test = self._listings(folder, paths.say)
        names = list(train)
        halves = self._read(train, names, folder), self._read(test, names, folder)
        return assemble(self, *halves, names, "chw")

    def _listings(self, folder: Path, say: Callable[[str], None]) -> tuple[Listing, Listing]:
        halves = [folder / "train", folder / "test"]
        found = [half.name for half in halves if exists(half)]
        if not found:
            return self._parted(classes_in(folder, say), folder)
        if len(found) == 1:
            what = f"{folder.name} has a folder train or test, but not both"
            expected = "train and test, or one folder per class"
            raise problem(folder, what, expected=expected, got=found[0])
        train, test = (classes_in(half, say) for half in halves)
        if strange := sorted(set(test) - set(train)):
            what = f"class {strange[0]} has test pictures, but none to train on"
            raise problem(halves[1] / strange[0], what, expected=", ".join(train))
        return train, test

    def _parted(self, listing: Listing, folder: Path) -> tuple[Listing, Listing]:
        """Part each class by the hashes of its file names: new files leave old ones in place."""
        train, test = {}, {}
        for name, paths in listing.items():
            count = min(int(self.test * len(paths) + 0.5), len(paths) - 1)
            aside = set(sorted(paths, key=self._rank)[:count])
            train[name] = [path for path in paths if path not in aside]
            test[name] = [path for path in paths if path in aside]
        if not any(test.values()):
            what = f"no picture is left for test: {self.test} of each class is less than one"
            got = ", ".join(f"{len(paths)} of {name}" for name, paths in listing.items())
            help = "raise test, add pictures, or make folders train and test"
            raise problem(folder, what, got=got, help=help)
        return train, test

    def _rank(self, path: Path) -> bytes:
        text = f"{self.seed}/{path.parent.name}/{path.name}"
        return blake2b(text.encode("utf-8", "surrogateescape")).digest()

    def _read(self, listing: Listing, names: list[str], folder: Path) -> tuple[Part, Part]:
        paths = [path for found in listing.values() for path in found]
        labels = [names.index(name) for name, found in listing.items() for _ in found]
        pictures = read_pictures(paths, self.mode, self.size)
        return Part(pictures, folder), Part(np.array(labels), folder)
