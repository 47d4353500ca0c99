"""What is where in a spec: in its tree of plain values, and in the text."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cnnkit.diagnosis.toml import Node, Scanner
from cnnkit.source import KeyPath

_CHAINS = ("layers", "body", "shortcut", "branches")
_PLAIN_CHAINS = ("layers", "body")
"""Chains that go without saying: a container has no other, or it is the first one."""


def real_path(tree: Any, loc: tuple[str | int, ...]) -> KeyPath:
    """Cut pydantic's location to the part that exists in the tree."""
    path: KeyPath = ()
    for step in loc:
        inside = isinstance(tree, dict) and step in tree
        if not inside and not (isinstance(tree, list) and isinstance(step, int)):
            break
        if isinstance(tree, list) and not (isinstance(step, int) and step < len(tree)):
            break
        tree, path = tree[step], (*path, step)
    return path


def table_of(tree: Any, path: KeyPath) -> KeyPath:
    """Return the path of the innermost table or layer that `path` leads through, itself left out.

    >>> table_of({"model": {"layers": [{"kernel": [3, -3]}]}}, ("model", "layers", 0, "kernel", 1))
    ('model', 'layers', 0)
    """
    for length in range(len(path) - 1, 0, -1):
        if isinstance(at(tree, path[:length]), dict) or is_layer(path[:length]):
            return path[:length]
    return ()


def is_layer(path: KeyPath) -> bool:
    """Tell if a path ends at an element of a chain of layers."""
    return len(path) > 1 and isinstance(path[-1], int) and path[-2] in _CHAINS


def place(tree: Any, path: KeyPath) -> str:
    """Return "layer 3 (residual) > layer 1 (conv): ", "[optimizer] schedule: ", or "".

    >>> place({"model": {"layers": ["relu" * 99]}}, ("model", "layers", 0))
    'layer 1 (relurelurelurelurelurelurelurelurelur...): '
    """
    words = ""
    for depth, step in enumerate(path):
        here, before = path[: depth + 1], path[depth - 1] if depth else ""
        leads_on = depth + 1 < len(path) and isinstance(path[depth + 1], int)
        if isinstance(step, int):
            kind = type_at(tree, here)
            kind = kind if len(kind) <= 40 else f"{kind[:37]}..."
            name = "layer" if before in _PLAIN_CHAINS else str(before).rstrip("s")
            name = f"{before} layer" if before in _CHAINS[len(_PLAIN_CHAINS) :] else name
            named = f"{name} {step + 1} ({kind})" if kind else f"{name} {step + 1}"
            words = f"{words} > {named}" if words and before in _CHAINS else f"{words} {named}"
        elif leads_on or (depth == 0 and len(path) > 1 and step == "model"):
            continue
        elif depth == 0:
            words = f"[{step}]" if isinstance(at(tree, here), dict | str) else ""
        else:
            words = f"{words} {step}"
    return f"{words.strip()}: " if words else ""


def type_at(tree: Any, path: KeyPath) -> str:
    """Return the type that the component at `path` has or is, "" where there is none."""
    value = at(tree, path)
    kind = value.get("type", "") if isinstance(value, dict) else value
    return kind if isinstance(kind, str) else ""


def at(tree: Any, path: KeyPath) -> Any:
    """Return what is at `path`."""
    for step in path:
        tree = tree[step]
    return tree


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it, shortened.

    >>> toml_value([True, float("nan"), "a"])
    '[true, nan, "a"]'
    """
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "an array of tables"
    if isinstance(value, list):
        text = f"[{', '.join(map(toml_value, value[:20]))}]"
    else:
        text = (
            json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
        )
    return text if len(text) <= 40 else text[:37] + "..."


@dataclass(frozen=True, slots=True)
class Position:
    """A key and its value, counted from 1, in characters. An element of an array is its own key.

    A value of several lines is as wide as the rest of its first line. The value of a table made
    by a header is the header, `[data]`; of one that only a longer key names, that part of the key.
    """

    line: int
    column: int
    width: int
    value_line: int
    value_column: int
    value_width: int
    value_end_line: int


class Positions(Mapping[KeyPath, Position]):
    """A map from key path, `("model", "layers", 3, "kernel")`, to position.

    A tree, for a dict of whole paths would outgrow the memory on a text of deep nesting.
    """

    def __init__(self, text: str, root: Node) -> None:
        self._root = root
        self._ends = [match.start() for match in re.finditer("\n", text)] + [len(text)]

    def __getitem__(self, path: KeyPath) -> Position:
        node: Node | None = self._root if path else None
        for step in path:
            node = node.holds.get(step) if node and node.holds else None
        if node is None:
            raise KeyError(path)
        key, value = self._span(node.key, node.key_end), self._span(node.value, node.value_end)
        return Position(*key, *value, bisect_left(self._ends, node.value_end) + 1)

    def nearest(self, path: KeyPath) -> Position | None:
        """Return the position of the longest beginning of `path` that is in the text."""
        found = (self.get(path[:length]) for length in range(len(path), 0, -1))
        return next(filter(None, found), None)

    def __iter__(self) -> Iterator[KeyPath]:
        stack: list[tuple[KeyPath, Node]] = [((), self._root)]
        while stack:
            path, node = stack.pop()
            inner = [((*path, step), held) for step, held in (node.holds or {}).items()]
            yield from (deeper for deeper, _ in inner)
            stack += inner

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _span(self, start: int, end: int) -> tuple[int, int, int]:
        """Return line, column, and width up to the end of that line at most."""
        line = bisect_left(self._ends, start)
        column = start - (self._ends[line - 1] if line else -1)
        return line + 1, column, min(end, self._ends[line]) - start


def locate(text: str) -> Positions:
    """Return the position of every key and value in `text`, which tomli has accepted."""
    scanner = Scanner(text)
    return Positions(scanner.text, scanner.root)
