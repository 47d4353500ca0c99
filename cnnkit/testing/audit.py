"""Watch what a piece of code does to the world outside its arrays."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_OUTSIDE = ("socket.", "subprocess.", "shutil.", "tempfile.", "urllib.", "http.", "ftplib.", "os.")
_IMPORTING = {"os.listdir", "os.scandir"}  # a first import lists folders
_CODE = (".py", ".pyc", ".so", ".pyd")
_CHANGED = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.truncate": 0, "os.rename": 1,
            "os.link": 1, "os.symlink": 1}  # fmt: skip
"""Events that change a file or folder, and which of their arguments is its path."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_here = threading.local()


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect this thread's files, sockets and processes as lines; imports do not count."""
    seen: list[str] = []

    def note(event: str, args: tuple[Any, ...]) -> None:
        if _counts(event, args):
            seen.append(f"{event}({', '.join(repr(arg) for arg in args[:2])})")

    with _noting(note):
        yield seen


@contextmanager
def changed_files() -> Iterator[list[Path]]:
    """Collect the absolute path of every file and folder that this thread writes, makes, renames
    or removes; devices do not count, nor does what imports leave behind."""
    changed: list[Path] = []

    def note(event: str, args: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & _WRITING
        path = args[0 if writes else _CHANGED[event]] if writes or event in _CHANGED else None
        if path is not None and not isinstance(path, int):  # a number is an open file's
            whole = Path(os.fsdecode(path)).resolve()
            if whole.parts[1:2] != ("dev",) and "__pycache__" not in whole.parts:
                changed.append(whole)

    with _noting(note):
        yield changed


@contextmanager
def _noting(note: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    _install()
    _here.note = note
    try:
        yield
    finally:
        _here.note = None


@cache  # an audit hook can never be removed, so one is enough
def _install() -> None:
    sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    note: Callable[[str, tuple[Any, ...]], None] | None = getattr(_here, "note", None)
    if note is not None:
        note(event, args)


def _counts(event: str, args: tuple[Any, ...]) -> bool:
    if event == "open":
        return not str(args[0]).endswith(_CODE)
    return event.startswith(_OUTSIDE) and event not in _IMPORTING
