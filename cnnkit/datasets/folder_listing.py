"""List the pictures of each class, in an order that depends on nothing but their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cnnkit.datasets.problems import problem
from cnnkit.errors import DataUnavailable

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
        raise problem(
            folder,
            f"there are no class folders in {folder.name}",
            expected="one folder of pictures per class, such as cat/ and dog/",
        )
    return {entry.name: _pictures(entry, say) for entry in folders}


def _pictures(folder: Path, say: Callable[[str], None]) -> list[Path]:
    entries = _entries(folder)
    pictures = [path for path in entries if path.suffix.lower() in SUFFIXES]
    if not pictures:
        raise problem(
            folder,
            f"there are no pictures in the class folder {folder.name}",
            expected=f"files named {', '.join(sorted(SUFFIXES))}",
            got=f"{len(entries)} other files",
        )
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
