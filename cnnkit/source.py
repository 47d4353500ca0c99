"""Source: the text of a spec, the arguments laid over it, and what was found wrong in them.

Records are named tuples here: to make the class takes a seventh of the time of a dataclass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from cnnkit.base.component import Component, Lookup, Slot, slots
from cnnkit.base.place import KeyPath
from cnnkit.errors import SpecError

BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""Characters that reverse text, so that it reads as what it is not."""


class Override(NamedTuple):
    """One `--set key.path=value`."""

    argument: str
    path: KeyPath
    value: Any


class Origin(NamedTuple):
    """Where something in an expanded spec was written.

    Args:
        path: the way to it in the file.
        uses: what brought it where it is, the innermost first: words, and where that stands.
    """

    path: KeyPath
    uses: tuple[tuple[str, KeyPath], ...] = ()


class Source(NamedTuple):
    """Where a spec came from.

    Args:
        file: the path as the user gave it; "" for a spec made in Python.
        raw: the file's bytes.
        overrides: the `--set` arguments, in order.
        late: those of them that were laid over the expanded spec.
        includes: the files that it is laid over.
        laid: what of it these say.
        origins: what stands elsewhere in the expanded spec than in a file.
    """

    file: str = ""
    raw: bytes = b""
    overrides: tuple[Override, ...] = ()
    late: tuple[Override, ...] = ()
    includes: tuple[Source, ...] = ()
    laid: Mapping[KeyPath, Source] = {}
    origins: Mapping[KeyPath, Origin] = {}

    @property
    def text(self) -> str:
        """The file's text; undecodable bytes are replaced, for messages only."""
        return self.raw.decode("utf-8", "replace")

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the spec start from; SpecError where that is gone."""
        try:
            return Path(self.file).resolve().parent if self.file else Path.cwd()
        except FileNotFoundError as error:
            raise SpecError(
                "error: the working directory is gone; go to one that is there"
            ) from error

    def origin(self, path: KeyPath) -> Origin:
        """Return where what is at `path` of the expanded spec was written."""
        for length in range(len(path), 0, -1):
            if found := self.origins.get(path[:length]):
                return found._replace(path=found.path + path[length:])
        return Origin(path)

    def file_of(self, path: KeyPath) -> Source:
        """Return the file that says what is at `path`, before any expansion."""
        lengths = range(len(path), 0, -1)
        return next((self.laid[path[:n]] for n in lengths if path[:n] in self.laid), self)

    def override_of(self, path: KeyPath, is_in_file: bool = False) -> Override | None:
        """Return the last `--set` that decided, or made, what is at `path`, or None."""
        for override in self.overrides[::-1]:
            shorter = min(len(override.path), len(path))
            decides = len(override.path) <= len(path) or not is_in_file
            if path and override.path[:shorter] == path[:shorter] and decides:
                return override
        return None

    def retyped_by(self, path: KeyPath) -> Override | None:
        """Return the last `--set` that gave the table at `path` its type, or None."""
        made = (o for o in self.overrides[::-1] if o.path == (*path, "type"))
        return next(made, None)


class Finding(NamedTuple):
    """One thing that is wrong at `path`, before anybody looked up where that is in the text.

    Args:
        override: the `--set` that cannot be laid over the spec, so that nothing else is to blame.
    """

    path: KeyPath
    message: str
    note: str = ""
    help: str = ""
    trail: str = ""
    at: Literal["key", "value"] = "value"
    override: Override | None = None


class Expanded(NamedTuple):
    """A spec's tables with variables and blocks written out.

    Args:
        findings: what is wrong so far.
        unknown: where something is missing for that reason, so that no more can be said of it.
    """

    tree: dict[str, Any]
    source: Source
    findings: list[Finding]
    unknown: frozenset[KeyPath] = frozenset()


class FindingError(Exception):
    """Carries a finding out of the function that cannot go on."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class Problem(NamedTuple):
    """One diagnosis: `note` stands beside the caret, `trail` lists the shapes; any may be empty.

    `argument`, such as `--set train.epochs=abc`, stands for file and line; `column` counts in it.
    `uses` says how what is there came to be where it is wrong: through a repeat, or a variable.
    """

    message: str
    file: str = ""
    path: KeyPath = ()
    line: int | None = None
    column: int | None = None
    width: int = 1
    source_line: str = ""
    note: str = ""
    trail: str = ""
    help: str = ""
    argument: str | None = None
    uses: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON has them, the path as a list."""
        return self._asdict() | {"path": list(self.path), "uses": list(self.uses)}


def slot_at(root: type[BaseModel], tree: Any, path: KeyPath, lookup: Lookup) -> Slot | None:
    """Return what may stand at `path` of a tree of plain values, which may be invalid; None for
    anything but components and sections.

    Args:
        root: the class that the whole tree is validated by.
    """
    if not path:
        return Slot("", root)
    if isinstance(path[-1], int):
        held = slot_at(root, tree, path[:-1], lookup)
        return held._replace(many=held.many - 1) if held and held.many else None
    cls = class_at(root, tree, path[:-1], lookup)
    return slots(cls).get(path[-1]) if cls else None


def class_at(
    root: type[BaseModel], tree: Any, path: KeyPath, lookup: Lookup
) -> type[BaseModel] | None:
    """Return the class of the component or section at `path`, None where that cannot be known."""
    held = slot_at(root, tree, path, lookup)
    if held is None or held.many:
        return None
    if held.section:
        return held.section
    try:
        for step in path:
            tree = tree[step]
        if isinstance(tree, Component):
            return type(tree)
        kind = tree if isinstance(tree, str) else tree["type"]
        return lookup.find(held.family, kind) if isinstance(kind, str) else None
    except (PydanticCustomError, LookupError, TypeError):
        return None
