"""ImageFolder: pictures in folders, one folder per class."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cnnkit.base import Data, Dataset, Pair, Places, Signature
from cnnkit.datasets.assemble import Source, assemble
from cnnkit.datasets.folder_listing import Listing, classes_in
from cnnkit.datasets.image_file import Mode, read_picture, read_pictures
from cnnkit.datasets.options import PathText
from cnnkit.datasets.problems import problem
from cnnkit.datasets.reading import exists


class ImageFolder(Dataset):
    """Pictures in `train/<class>/` and `test/<class>/`, or in `<class>/` alone; needs Pillow.

    Classes and pictures come in the order of their names. Transparency is dropped, the
    orientation a camera noted is applied, and of an animation the first frame is taken.
    """

    type: Literal["image_folder"] = "image_folder"

    path: PathText
    """The folder; relative to the spec's folder."""
    size: Pair | None = None
    """Height and width that every picture is resized to; without it all must be of one size."""
    mode: Mode = "rgb"
    """Whether pictures are read as "rgb", 3 channels, or "grayscale", 1 channel."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class set aside for test, where there are no folders train and test."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Chooses which pictures are set aside for test; adding pictures moves few of the others."""

    def signature(self, places: Places) -> Signature | None:
        """Read the names of the folders and, where no size is given, the first picture."""
        folder = places.spec_dir / self.path
        if not exists(folder):
            return None
        train, _ = self._listings(folder, Places())
        if self.size is not None:
            return Signature((3 if self.mode == "rgb" else 1, *self.size), len(train))
        first = next(iter(train.values()))[0]
        return Signature(read_picture(first, self.mode, None).shape, len(train))

    def load(self, places: Places) -> Data:
        folder = places.spec_dir / self.path
        train, test = self._listings(folder, places)
        names = list(train)
        halves = (self._read(train, names, folder), self._read(test, names, folder))
        return assemble(self, *halves, names, "chw")

    def _listings(self, folder: Path, places: Places) -> tuple[Listing, Listing]:
        halves = [folder / half for half in ("train", "test")]
        found = [exists(half) for half in halves]
        if not any(found):
            return self._parted(classes_in(folder, places.say), folder)
        if not all(found):
            raise problem(
                folder,
                f"{folder.name} has a folder train or test, but not both",
                expected="train and test, or one folder per class",
                got=", ".join(half.name for half in halves if exists(half)),
            )
        train, test = (classes_in(half, places.say) for half in halves)
        strange = sorted(set(test) - set(train))
        if strange:
            raise problem(
                halves[1] / strange[0],
                f"class {strange[0]} has test pictures, but none to train on",
                expected=", ".join(train),
            )
        return train, test

    def _parted(self, listing: Listing, folder: Path) -> tuple[Listing, Listing]:
        """Part each class by the hashes of its file names: new files leave old ones in place."""
        train, test = {}, {}
        for name, paths in listing.items():
            count = min(int(self.test * len(paths) + 0.5), len(paths) - 1)
            aside = set(sorted(paths, key=lambda path: self._rank(path))[:count])
            train[name] = [path for path in paths if path not in aside]
            test[name] = [path for path in paths if path in aside]
        if not any(test.values()):
            raise problem(
                folder,
                f"no picture is left for test: {self.test} of each class is less than one",
                got=", ".join(f"{len(paths)} of {name}" for name, paths in listing.items()),
                help="raise test, add pictures, or make folders train and test",
            )
        return train, test

    def _rank(self, path: Path) -> bytes:
        text = f"{self.seed}/{path.parent.name}/{path.name}"
        return blake2b(text.encode("utf-8", "surrogateescape")).digest()

    def _read(self, listing: Listing, names: list[str], folder: Path) -> tuple[Source, Source]:
        paths = [path for found in listing.values() for path in found]
        labels = [names.index(name) for name, found in listing.items() for _ in found]
        pictures = read_pictures(paths, self.mode, self.size)
        return Source(pictures, folder), Source(np.array(labels), folder)
