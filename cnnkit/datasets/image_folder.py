"""ImageFolder: pictures in folders, one folder per class."""

from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cnnkit.base import Data, DataPaths, Dataset, DatasetInfo, PairOrNone, default
from cnnkit.base.component import PathText
from cnnkit.datasets.arrays import assemble
from cnnkit.datasets.files import exists, problem, some
from cnnkit.datasets.folders import (
    BELOW,
    BESIDE,
    BESIDE_SPLITS,
    NOT_READ,
    PICKLED,
    SUFFIXES,
    UNLABELLED,
    Passed,
    entries,
    pictures,
    pictures_below,
    split_of,
)
from cnnkit.datasets.labels import Part
from cnnkit.datasets.pictures import Colour, Mode, Reader, need_pillow
from cnnkit.datasets.table import LABELS, Table
from cnnkit.errors import DataError

Listing = dict[str, list[Path]]
"""Class name -> its pictures, both sorted by name."""


def classes_in(folder: Path, folders: list[Path], passed: Passed, to_train: bool) -> Listing:
    """Return the pictures in each of the class folders of `folder`.

    Raises:
        DataError: where there are no classes, or one without a picture that is there to train on.
    """
    if not folders:
        what = f"there are no class folders in {folder.name}"
        expected = "one folder of pictures per class, such as cat/ and dog/"
        help = 'where a table has the classes, name it: labels = "labels.csv" in [data]'
        help = PICKLED if (folder / "data_batch_1").exists() else help
        raise problem(folder, what, expected=expected, help=help)
    found = {}
    for one in folders:
        below, files = entries(one, passed)
        found[one.name] = pictures(files, passed)
        passed.add(BELOW, *below)
        passed.lost += sum(len(pictures_below(inner, Passed(inner))) for inner in below)
        if not found[one.name] and (to_train or (one is folders[-1] and not any(found.values()))):
            what = f"there are no pictures in the class folder {one.name}"
            expected = f"files named {', '.join(sorted(SUFFIXES))}"
            got = f"{len(files)} other files" + f" and {len(below)} folders" * bool(below)
            help = f"put pictures into it, or take {one.name} away"
            if below and len(folders) == 1:
                help = f"{one.name} seems to hold folders of classes itself: let path end with it"
            elif below:
                help = "each class is one folder; folders of splits are called train, test and val"
            raise problem(one, what, expected=expected, got=got, help=help)
    return found


class ImageFolder(Dataset):
    """Pictures in `train/<class>/`, `test/<class>/` and `val/<class>/`, in `<class>/` alone, or
    listed in a table; needs Pillow.

    Classes and pictures come in the order of their names. The orientation a camera noted is
    applied, and of an animation the first frame is taken. What is passed over is said.
    """

    type: Literal["image_folder"] = "image_folder"

    path: PathText
    """The folder; relative to the spec's folder."""
    labels: PathText | None = None
    """Table (CSV) of file names, below `path`, and their classes, instead of folders of classes; a
    column of train, test and val says which split each is of."""
    size: PairOrNone = default(None)
    """Height and width that every picture is resized to; without it all must be of one size."""
    mode: Mode = "rgb"
    """Whether pictures are read as "rgb", 3 channels, or "grayscale", 1 channel."""
    background: Colour = "white"
    """What transparent pictures are laid over: "white", "black" or a colour such as "#ff8000"."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class set aside for test, where there is no folder test."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Chooses which pictures are set aside for test; adding pictures moves few of the others."""

    def info(self, paths: DataPaths) -> DatasetInfo | None:
        """Read the names of the folders and, where no size is given, the first picture."""
        if not exists(paths.spec_dir / self.path):
            return None
        train = self._listings(replace(paths, say=lambda line: None))["train"]
        channels, names = 3 if self.mode == "rgb" else 1, tuple(train)
        if self.size is not None:
            return DatasetInfo((channels, *self.size), len(names), names)
        first = next(iter(train.values()))[0]
        need_pillow(first)
        shape = Reader(self.mode, None, self.background).read(first).shape
        return DatasetInfo(shape, len(names), names)

    def load(self, paths: DataPaths) -> Data:
        folder, parts = paths.spec_dir / self.path, {}
        reader = Reader(self.mode, self.size, self.background)
        listings = self._listings(paths)
        names = list(listings["train"])
        found = [one for listing in listings.values() for one in listing.values()]
        images = reader.read_all([path for one in found for path in one], folder)
        for part, listing in listings.items():
            labels = [names.index(name) for name, one in listing.items() for _ in one]
            parts[part] = Part(images[: len(labels)], folder), Part(np.array(labels), folder)
            images = images[len(labels) :]
        for line in reader.notes(folder):
            paths.say(line)
        return assemble(self, parts, names, "chw")

    def _listings(self, paths: DataPaths) -> dict[str, Listing]:
        """Return the pictures of each split, and say what is passed over."""
        folder = paths.spec_dir / self.path
        passed = Passed(folder)
        found = self._table(paths, passed) if self.labels else self._folders(folder, passed, paths)
        for split, listing in found.items():
            if strange := sorted(set(listing) - set(found["train"])):
                what = f"class {strange[0]} has {split} pictures, but none to train on"
                where = next((path.parent for path in listing[strange[0]]), folder)
                raise problem(where, what, expected=", ".join(found["train"]))
        if len(found["train"]) < 2:
            what = "all pictures are of one class: there is nothing to learn"
            got = "".join(found["train"])
            raise problem(folder, what, expected="at least 2 classes", got=got)
        if "test" not in found:
            found["train"], found["test"] = self._parted(found["train"], folder)
        passed.tell(paths.say)
        return found

    def _folders(self, folder: Path, passed: Passed, paths: DataPaths) -> dict[str, Listing]:
        folders, files = entries(folder, passed)
        passed.add(BESIDE, *files)
        passed.add(NOT_READ, *_left_beside(folder))
        named = [one for one in folders if split_of(one.name)]
        homes = [one for one in named if not _is_flat(one)] or named * (len(named) == len(folders))
        if not homes:  # a flat folder train beside car and plane is a class
            return {"train": classes_in(folder, folders, passed, True)}
        passed.add(BESIDE_SPLITS, *(one for one in folders if one not in homes))
        splits = {home: split_of(home.name) for home in homes}
        if "train" not in splits.values() or len(set(splits.values())) < len(homes):
            twice = [home.name for home in homes if list(splits.values()).count(splits[home]) > 1]
            what = f"{folder.name} has folders {' and '.join(twice)}, which mean the same"
            what = what if twice else f"{folder.name} has no folder train"
            expected = "train and test, or one folder per class"
            raise problem(folder, what, expected=expected, got=some([h.name for h in homes]))
        found: dict[str, Listing] = {}
        for home, split in sorted(splits.items(), key=lambda item: item[1] != "train"):
            inner, files = entries(home, passed)
            passed.add(BESIDE, *files)
            found[split] = classes_in(home, inner, passed, split == "train")
        if "test" not in found:
            share = f"{self.test} of each class in {folder.name}/train"
            paths.say(f"note: {share} is set aside for test, as there is no folder test")
        return found

    def _table(self, paths: DataPaths, passed: Passed) -> dict[str, Listing]:
        """Return the pictures that the table lists."""
        folder, table = paths.spec_dir / self.path, Table(paths.spec_dir / str(self.labels))
        found = pictures_below(folder, passed)
        places = _by_name(found, folder)
        table.take_names(places)
        words = [table.values(c) for c in range(table.width)]
        columns = [[_as_found(word, places, folder) for word in one] for one in words]
        names = max(range(table.width), key=lambda c: sum(name in places for name in columns[c]))
        label, splits = _class_column(table, names, paths.say)
        if missing := [name for name in columns[names] if places.get(name) is None]:
            what = f"{len(missing)} of {len(columns[names])} pictures that {table.path.name} lists "
            what += f"are not in {folder.name}, or several have that name"
            raise problem(table.path, what, got=some(missing, most=3))
        classes: dict[Path, str] = {}
        for name, one in zip(columns[names], columns[label], strict=True):
            path = places[name] or folder
            if not one or classes.setdefault(path, one) != one:
                what = f"{table.path.name} gives {name} {'several classes' if one else 'no class'}"
                raise problem(table.path, what, expected="a class for each picture")
        passed.add(UNLABELLED, *(path for path in found if path not in classes))
        homes = dict(zip((places[name] for name in columns[names]), splits, strict=True))
        listings: dict[str, Listing] = {}
        for split in sorted(set(splits), key=lambda one: one != "train"):
            own = [path for path in found if homes.get(path) == split]
            listings[split] = {
                one: kept for one in sorted(set(classes.values()))
                if (kept := [path for path in own if classes[path] == one])
            }  # fmt: skip
        return listings

    def _parted(self, listing: Listing, folder: Path) -> tuple[Listing, Listing]:
        """Part each class by the hashes of its file names: new files leave old ones in place."""
        train, test = {}, {}
        for name, paths in listing.items():
            count = min(int(self.test * len(paths) + 0.5), len(paths) - 1)
            aside = set(sorted(paths, key=lambda path: self._rank(name, path))[:count])
            train[name] = [path for path in paths if path not in aside]
            test[name] = [path for path in paths if path in aside]
        if not any(test.values()):
            what = f"no picture is left for test: {self.test} of each class is less than one"
            got = ", ".join(f"{len(paths)} of {name}" for name, paths in listing.items())
            help = "raise test, add pictures, or make folders train and test"
            raise problem(folder, what, got=got, help=help)
        return train, test

    def _rank(self, name: str, path: Path) -> bytes:
        text = f"{self.seed}/{name}/{path.name}"
        return blake2b(text.encode("utf-8", "surrogateescape")).digest()


def _class_column(table: Table, names: int, say: Callable[[str], None]) -> tuple[int, list[str]]:
    """Return the column of classes, and the split of each line."""
    parted, rows = table.splits(), table.values(names)
    others = [c for c in range(table.width) if c not in (names, parted and parted[0])] or [names]
    label = next((c for c in others if c == table.named(LABELS)), others[0])
    used = f"names in {table.called(names)}, classes in {table.called(label)}"
    used += f", splits in {table.called(parted[0])}" if parted else ""
    doubt = [c for c in others if c != label] if label != table.named(LABELS) else []
    more = f"; where {some([table.called(c) for c in doubt], 3)} has them, call that one label"
    say(f"{'warning' if doubt else 'note'}: {table.path.name}: {used}{more if doubt else ''}")
    return label, parted[1] if parted else ["train"] * len(rows)


def _as_found(word: str, places: Container[str], folder: Path) -> str:
    """Return the name of a picture as it is found below the folder; other words as they are."""
    tidy = PurePosixPath(word.replace("\\", "/")).as_posix().removeprefix(f"{folder.name}/")
    return tidy if word not in places and tidy in places else word


def _left_beside(folder: Path) -> list[Path]:
    """Return the folders of other splits beside a folder train."""
    if split_of(folder.name) == "train":
        with suppress(DataError):  # nobody asked for what lies there
            beside = entries(folder.parent, Passed(folder))[0]
            return [one for one in beside if split_of(one.name) not in ("", "train")]
    return []


def _is_flat(folder: Path) -> bool:
    """Say whether a folder holds pictures, and no folders that could be classes."""
    folders, files = entries(folder, Passed(folder))
    return bool(not folders and pictures(files, Passed(folder)))


def _by_name(found: list[Path], folder: Path) -> dict[str, Path | None]:
    """Return pictures by path, by name, and by name without suffix; None where several have it."""
    places: dict[str, Path | None] = {}
    for path in found:
        for name in {path.name, path.stem}:
            places[name] = None if name in places else path
    return places | {path.relative_to(folder).as_posix(): path for path in found}
