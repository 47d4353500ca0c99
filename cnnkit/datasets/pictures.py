"""Pictures: read with Pillow, brought to a size and mode; what that changed is counted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array
from cnnkit.datasets.files import content, problem, some
from cnnkit.errors import DataError, DataUnavailable

if TYPE_CHECKING:
    from PIL.Image import Image

Mode = Literal["grayscale", "rgb"]
Colour = Annotated[str, Field(pattern="^(black|white|#[0-9a-fA-F]{6})$")]
""""white", "black", or red, green and blue as in "#ff8000"."""

_DEEP = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})  # Pillow's names
_MOST = 1 << 25
"""Pixels of a picture; decoding and turning one takes some 12 bytes for each."""


class Reader:
    """Reads pictures (C, H, W) uint8, C = 3 for "rgb" and 1 for "grayscale".

    What a camera noted of the orientation is applied, transparent pictures are laid over a colour,
    and of several frames or pages the first is taken.

    Args:
        size: (height, width) to resize each to; None leaves them as they are.
        background: the colour.
    """

    def __init__(
        self, mode: Mode, size: tuple[int, int] | None, background: Colour = "white"
    ) -> None:
        self.mode, self.size, self.background = mode, size, background
        self.resized: list[str] = []
        """Names and former sizes of the pictures that were brought to `size`."""
        self.recoloured: list[str] = []
        """Names of those that were turned to grayscale, or repeated in three channels."""
        self._transparent: list[str] = []
        self._frames: list[str] = []

    def read_all(self, paths: list[Path], folder: Path) -> Array:
        """Return pictures (N, C, H, W).

        Raises:
            DataError: naming all that cannot be read, or are of another size than the first.
        """
        need_pillow(paths[0])
        pictures, first, bad = np.empty(0, np.uint8), paths[0], []
        for index, path in enumerate(paths):
            try:
                picture = self.read(path)
                if not pictures.size:
                    pictures, first = np.empty((len(paths), *picture.shape), np.uint8), path
                pictures[index] = self._like(picture, path, pictures.shape[1:], first)
            except DataError as error:
                bad.append(error)
        if bad:
            raise together(bad, len(paths), folder)
        return pictures

    def _like(self, picture: Array, path: Path, shape: tuple[int, ...], first: Path) -> Array:
        if picture.shape == shape:
            return picture
        raise problem(
            path,
            f"{path.name} has another size than the pictures before it",
            expected=f"height and width {shape[1:]}, as in {first}",
            got=str(picture.shape[1:]),
            help=f"resize all of them: size = {list(shape[1:])} in [data]",
        )

    def read(self, path: Path) -> Array:
        """Return one picture.

        Raises:
            DataError: where it cannot be read.
        """
        try:
            with content(path) as raw, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Pillow, on files that are odd or large
                return self._decode(raw, path)
        except DataUnavailable as error:  # one that is gone is damage: the others are there
            raise DataError(str(error)) from error

    def _decode(self, raw: BinaryIO, path: Path) -> Array:
        from PIL import Image as Pillow
        from PIL import ImageOps, UnidentifiedImageError

        try:
            with Pillow.open(raw) as image:
                image.verify()  # compares a PNG's checksums, which decoding does not
            raw.seek(0)
            with Pillow.open(raw) as image:
                self._check(image, path)
                is_animated = getattr(image, "is_animated", False)
                upright = self._opaque(ImageOps.exif_transpose(image), path)
                if _is_gray(upright) != (self.mode == "grayscale"):
                    self.recoloured.append(str(path))
                picture = upright.convert("RGB" if self.mode == "rgb" else "L")
                if self.size is not None and picture.size != self.size[::-1]:
                    self.resized.append(f"{path} from {picture.height}x{picture.width}")
                    picture = picture.resize(self.size[::-1], Pillow.Resampling.BILINEAR)
                pixels = np.array(picture)  # (H, W) or (H, W, 3)
        except DataError:
            raise
        except Exception as error:  # Pillow raises a dozen types on damaged bytes
            what = f"{path.name} is not a picture that can be read, or is damaged"
            help = "open it in a picture viewer; mend it, or leave it out"
            got = f"{type(error).__name__}: {error}"
            if isinstance(error, UnidentifiedImageError):
                got = f"{path.stat().st_size} bytes in no format that Pillow knows"
            raise problem(path, what, got=got, help=help) from error
        self._frames += [str(path)] * is_animated
        return pixels[None] if self.mode == "grayscale" else pixels.transpose(2, 0, 1)

    def _check(self, image: Image, path: Path) -> None:
        """Refuse what would lose precision, or take too much memory."""
        if image.width * image.height > _MOST and self.size:
            image.draft("RGB", self.size[::-1])  # JPEG can be read at an eighth of its size
        if (pixels := image.width * image.height) > _MOST:
            what, expected = f"{path.name} is too large", f"at most {_MOST:,} pixels"
            got = f"{image.height}x{image.width}, {pixels:,} pixels"
            raise problem(path, what, expected=expected, got=got, help="make it smaller first")
        if image.mode in _DEEP:
            what, got = f"{path.name} has more than 8 bits per channel", f"mode {image.mode}"
            help = "save it with 8 bits per channel"
            raise problem(path, what, expected="8 bits", got=got, help=help)

    def _opaque(self, image: Image, path: Path) -> Image:
        from PIL import Image as Pillow

        if not image.has_transparency_data:
            return image
        layered = image.convert("RGBA")
        if layered.getchannel("A").getextrema()[0] == 255:
            return image
        self._transparent.append(str(path))
        ground = Pillow.new("RGBA", layered.size, self.background)
        return Pillow.alpha_composite(ground, layered)

    def notes(self, root: Path | None = None) -> Iterator[str]:
        """Yield a line for each thing that was done to pictures without being asked for."""
        for names, done in (
            (self._transparent, f"transparent: laid over {self.background}"),
            (self._frames, "of several frames or pages: the first is used"),
        ):
            if names:
                short = [name.removeprefix(f"{root}/") for name in names]
                yield f"note: {amount(names)} {done} ({some(short, most=3)})"


def amount(names: list[str]) -> str:
    """Return "1 picture is" or "3 pictures are"."""
    return f"{len(names)} picture{'s are' if len(names) > 1 else ' is'}"


def _is_gray(image: Image) -> bool:
    from PIL import ImageChops

    if image.mode in ("1", "L", "LA"):
        return True
    red, green, blue = image.convert("RGB").split()
    pairs = (red, green), (green, blue)
    return all(ImageChops.difference(*pair).getbbox() is None for pair in pairs)


def need_pillow(path: Path) -> None:
    """Refuse to read pictures without Pillow.

    Raises:
        DataError: saying how to install it.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        help = 'pip install "cnnkit[images]"'
        raise problem(path, "reading pictures needs Pillow", help=help) from error


def together(errors: list[DataError], total: int, where: Path | str = "") -> DataError:
    """Return one error that names all the files of `total` that cannot be used."""
    if len(errors) == 1:
        return errors[0]
    told = [str(error).splitlines() for error in errors]
    lines = [f"{len(errors)} of {total} files cannot be used", *[f"  --> {where}"] * bool(where)]
    for what, *notes in told[:20]:
        got = "".join(f" ({note[10:]})" for note in notes if note.startswith("   = got: "))
        place = next((note[6:] for note in notes if note.startswith("  --> ")), "")
        why = what.removeprefix(f"{Path(place).name} ") + got
        place = place.removeprefix(f"{where}/" if where else "")
        lines.append(f"   = {place}: {why}" if place else f"   = {why}")
    lines += [f"   = and {len(told) - 20} more"] * (len(told) > 20)
    lines += dict.fromkeys(line for text in told for line in text if line.startswith("   = help:"))
    return DataError("\n".join(lines))
