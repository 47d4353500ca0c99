"""Where every key and value of a TOML text stands, which tomli does not say.

The text is read once more, and only when there is something to report.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cnnkit.spec.scanner import Node, Scanner
from cnnkit.spec.source import KeyPath


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
