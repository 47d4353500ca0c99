"""Include: a spec laid over the one that it names, each value with the file that says it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnkit.base.place import KeyPath
from cnnkit.errors import SpecError
from cnnkit.source import Finding, FindingError, Source

_Tree = dict[str, Any]
_MOST = 16
"""Files that include one another."""


def included(
    tree: _Tree, source: Source, read: Callable[[Path], tuple[_Tree, Source]]
) -> tuple[_Tree, Source]:
    """Lay a spec over the one that it includes, that over the next, and so on.

    Tables are joined, unless the upper one names another type; all else is replaced.

    Args:
        read: reads the tables of a file; raises SpecError.

    Raises:
        FileError: where one of them cannot be laid over another.
    """
    chain = [(tree, source)]
    while name := _included(*chain[-1]):
        above = chain[-1][1]
        path = Path(above.file).parent / os.path.expanduser(name)  # noqa: PTH111
        if os.path.realpath(path) in (os.path.realpath(other.file) for _, other in chain):
            raise _at_fault(above, "include", f'"{name}" includes this file in turn', "take it out")
        if len(chain) == _MOST:
            raise _at_fault(above, "include", f"more than {_MOST} files include one another")
        try:
            chain.append(read(path))
        except SpecError as error:
            if error.problems:
                raise
            what = str(error).removeprefix("error: ")
            help_ = "a path starts from the folder of the file that it stands in"
            if (whole := Path(above.file).parent / "resolved.toml").is_file():  # of a run
                help_ = f"this is a run's copy of what it was given; {whole} holds the whole spec"
            raise _at_fault(above, "include", what, help_) from None
    merged: _Tree = {}
    laid: dict[KeyPath, Source] = {}
    for table, file in reversed(chain):
        _lay(table, merged, (), file, laid)
    laid = {path: file for path, file in laid.items() if file is not source}
    return merged, source._replace(includes=tuple(file for _, file in chain[1:]), laid=laid)


class FileError(FindingError):
    """A finding about one of several files."""

    def __init__(self, finding: Finding, source: Source) -> None:
        super().__init__(finding)
        self.source = source


def _at_fault(source: Source, key: str, message: str, help_: str = "") -> FileError:
    return FileError(Finding((key,), message, help=help_), source)


def _included(tree: _Tree, source: Source) -> str | None:
    """Take format and include out of a file's tables, and return the latter."""
    number, name = tree.pop("format", 1), tree.pop("include", None)
    if isinstance(number, bool) or number != 1 or not isinstance(number, int):
        help_ = "this cnnkit reads format 1; a later one may read more"
        message = f"format must be 1, got {json.dumps(number, default=str)}"
        raise _at_fault(source, "format", message, help_)
    if name is not None and not (isinstance(name, str) and name and "\0" not in name):
        help_ = 'such as include = "base.toml"'
        raise _at_fault(source, "include", "include must be the path of one file", help_)
    return name


def _lay(
    over: _Tree, under: _Tree, path: KeyPath, file: Source, laid: dict[KeyPath, Source]
) -> None:
    """Lay tables over others, in place, and note which file says what."""
    for key, value in over.items():
        here, below = (*path, key), under.get(key)
        laid[here] = file
        if not isinstance(value, dict):
            under[key] = value
            continue
        if isinstance(below, str):  # the name of a type
            below = {"type": below}
        fits = isinstance(below, dict) and value.get("type", below.get("type")) == below.get("type")
        under[key] = below if fits else {}
        _lay(value, under[key], here, file, laid)
