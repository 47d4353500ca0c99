"""Folders of pictures: what lies in them, and what of it is passed over, counted and named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cnnkit.datasets.files import problem, some
from cnnkit.errors import DataUnavailable

SUFFIXES = frozenset((
    ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
))  # fmt: skip
"""What names of pictures end with, in small letters."""
_FOREIGN = frozenset((".cr2", ".dng", ".heic", ".heif", ".nef", ".psd", ".raw", ".svg", ".xcf"))
_SIGNATURES = (b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
_SYSTEM = frozenset((
    "__macosx", ".ds_store", ".ipynb_checkpoints", "@eadir", "desktop.ini", "thumbs.db",
    "$recycle.bin",
))  # fmt: skip

_SPLITS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "eval": "validation", "publictest": "validation", "privatetest": "test",
}  # fmt: skip
_OF_SPLITS = frozenset(("set", "data", "images", "seg", "split"))
"""Words that go with the names of splits, as in train_set."""


def split_of(name: str) -> str:
    """Return which split goes by the name: "train", "test", "validation", or ""."""
    words = set(name.lower().replace("-", "_").split("_")) - _OF_SPLITS
    return _SPLITS.get(words.pop(), "") if len(words) == 1 else ""


Kind = tuple[str, str]
"""What is passed over, and several of it."""
SYSTEM: Kind = "file or folder of the system", "files and folders of the system"
HIDDEN: Kind = "hidden file or folder", "hidden files and folders"
FOREIGN: Kind = "picture in a format that is not read", "pictures in formats that are not read"
OTHER: Kind = "file not named like a picture", "files not named like pictures"
BESIDE: Kind = "file beside the folders of classes", "files beside the folders of classes"
BESIDE_SPLITS: Kind = "folder beside those of the splits", "folders beside those of the splits"
BELOW: Kind = "folder below a class", "folders below classes"
PICKLED = 'pickles, as in the Python version of CIFAR, are never opened: write type = "cifar10", '
PICKLED += "and get the binary version"
NOT_READ: Kind = "folder of another split beside it", "folders of other splits beside it"
UNLABELLED: Kind = "picture without a label", "pictures without a label"


_MEANT = (BELOW, BESIDE_SPLITS, FOREIGN, NOT_READ, UNLABELLED)
"""What may have been meant."""


class Passed:
    """What is passed over, each with what it is."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[Kind, list[Path]] = {}
        self.lost = 0
        """Pictures in the folders below classes."""

    def add(self, kind: Kind, *paths: Path) -> None:
        """Note what `paths` are."""
        self._found.setdefault(kind, []).extend(paths)

    def tell(self, say: Callable[[str], None]) -> None:
        """Say it, in a line for each kind; what may have been meant is a warning."""
        for kind, paths in self._found.items():
            names = [Path(os.path.relpath(path, self._root)).as_posix() for path in paths]
            lost = f", with {self.lost} pictures" if kind is BELOW else ""
            word = "warning" if kind in _MEANT else "note"
            if paths:
                what = f"{len(paths)} {kind[len(paths) > 1]}{lost}: {some(names, most=3)}"
                say(f"{word}: {self._root.name}: passed over {what}")


def entries(folder: Path, passed: Passed) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in `folder`, sorted by name.

    Raises:
        DataUnavailable: where there is no such folder.
        DataError: where it cannot be listed.
    """
    try:
        found = sorted(folder.iterdir(), key=lambda path: path.name)
        folders = {path for path in found if path.is_dir()}
    except FileNotFoundError as error:
        raise problem(folder, f"there is no folder {folder.name}", kind=DataUnavailable) from error
    except NotADirectoryError as error:
        help = "unpack it, and give the folder" if folder.suffix else ""
        raise problem(folder, f"{folder.name} is a file, not a folder", help=help) from error
    except OSError as error:
        raise problem(folder, f"cannot list {folder.name}: {error.strerror}") from error
    kinds = {path: _kind(path) for path in found}
    for path, kind in kinds.items():
        if kind is not None:
            passed.add(kind, path)
    seen = [path for path in found if kinds[path] is None]
    return [path for path in seen if path in folders], [p for p in seen if p not in folders]


def _kind(path: Path) -> Kind | None:
    if path.name.lower() in _SYSTEM:
        return SYSTEM
    return HIDDEN if path.name.startswith(".") else None


def pictures(files: list[Path], passed: Passed) -> list[Path]:
    """Return those of the files that are named like pictures, or begin like one."""
    found = []
    for path in files:
        suffix = path.suffix.lower()
        if suffix in SUFFIXES or (not suffix and _begins_like_one(path)):
            found.append(path)
        else:
            passed.add(FOREIGN if suffix in _FOREIGN else OTHER, path)
    return found


def _begins_like_one(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            top = file.read(12)
    except OSError:
        return False
    return top.startswith(_SIGNATURES) or (top[:4], top[8:]) == (b"RIFF", b"WEBP")


def pictures_below(folder: Path, passed: Passed) -> list[Path]:
    """Return the pictures in a folder and in all folders below it."""
    folders, files = entries(folder, passed)
    here = folder.resolve()
    inner = [
        path for below in folders if not here.is_relative_to(below.resolve())  # a link upwards
        for path in pictures_below(below, passed)
    ]  # fmt: skip
    return pictures(files, passed) + inner
