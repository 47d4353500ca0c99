"""The text of a TOML file, or the start of one, as nodes that know where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHORT = r""""(?!"")(?:[^"\\\n]++|\\.)*+"|'(?!'')[^'\n]*+'"""
_LONG = r'''"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}''' + r"""|'''(?:[^']++|'(?!''))*+'{3,5}"""
_DATE = r"\d{4}-\d\d-\d\d \d\d:[\d:.]++(?:[Zz]|[+-]\d\d:\d\d)?"
_SCALAR = re.compile(rf"{_LONG}|{_SHORT}|{_DATE}|[^\s,\[\]{{}}#\"']++", re.DOTALL)
_PART = re.compile(rf"[A-Za-z0-9_-]++|{_SHORT}")
_DOT, _EQUALS = re.compile(r"[ \t]*+\.[ \t]*+"), re.compile(r"[ \t]*+=[ \t]*+")
_OPEN, _CLOSE = re.compile(r"\[{1,2}+[ \t]*+"), re.compile(r"[ \t]*+\]{1,2}+")
_SKIP = re.compile(r"(?:[ \t\n,]++|#[^\n]*+)*+")
_HEX = "[0-9A-Fa-f]"
_ELEMENT = re.compile(f"{_SKIP.pattern}({_SCALAR.pattern})", re.DOTALL)
_ESCAPE = re.compile(rf"\\(?:x({_HEX}{{2}})|u({_HEX}{{4}})|U(00(?:0{_HEX}|10){_HEX}{{4}})|(.))")
_ESCAPED = dict(zip("btnfre", "\b\t\n\f\r\x1b", strict=True))


@dataclass(slots=True)
class Node:
    """One value of a text: offsets of its key and of itself, and what it holds (None: a scalar)."""

    key: int
    key_end: int
    value: int
    value_end: int
    holds: dict[str | int, Node] | None = None
    is_array: bool = False


class Scanner:
    """Reads a text into nodes; it never raises, and its time is linear, however deep the nesting.

    To explain a syntax error it keeps `open`, the brackets not closed; `unclosed`, where such a
    string starts; `last`, the node finished last; `again`, a span and where its key stood before.
    """

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")  # as tomli does: no column changes
        self.root = self.last = self._table = Node(0, 0, 0, 0, {})
        self.open: list[Node] = []
        self.unclosed: int | None = None
        self.again: tuple[int, int, int] | None = None
        self._at = 0
        while self._take(_SKIP) is not None and self._at < len(self.text):
            start, char = self._at, self.text[self._at]
            self.again = self.again if self.open else None
            self._step(self.open[-1] if self.open else self._table, char)
            if self._at == start:  # not TOML from here on
                self.unclosed = start if char in "\"'" else None
                break

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        """Move over `pattern`, if it comes next, and return it."""
        match = pattern.match(self.text, self._at)
        self._at = match.end() if match else self._at
        return match.group() if match else None

    def _step(self, into: Node, char: str) -> None:
        if char == "[" and not self.open:
            self._header()
        elif self.open and char in "]}":
            self._at += 1
            self._finish(self.open.pop())
        elif into.is_array and into.holds is not None:
            if not self._scalars(into.holds):
                node = into.holds[len(into.holds)] = Node(self._at, self._at, self._at, self._at)
                self._value(node)
        elif parts := self._key():
            node = self._pair(into, parts)
            self._take(_EQUALS)
            self._value(node)

    def _scalars(self, holds: dict[str | int, Node]) -> bool:
        """Read elements up to the next bracket, if any come: an array may have 500 000."""
        before = self._at
        while match := _ELEMENT.match(self.text, self._at):
            start, self._at = match.span(1)
            self.last = holds[len(holds)] = Node(start, self._at, start, self._at)
        return self._at > before

    def _value(self, node: Node) -> None:
        node.value = node.value_end = self._at
        char = self.text[self._at : self._at + 1]
        if char in ("[", "{"):
            self._at += 1
            node.holds, node.is_array = {}, char == "["
            self.open.append(node)
        elif self._take(_SCALAR):
            self._finish(node)

    def _finish(self, node: Node) -> None:
        node.value_end, self.last = self._at, node
        if node.key == node.value:  # an element of an array
            node.key_end = self._at

    def _key(self) -> list[tuple[str, int, int]]:
        """Read a dotted key: the name, start and end of each part."""
        parts = []
        while part := self._take(_PART):
            parts.append((_name(part), self._at - len(part), self._at))
            if self._take(_DOT) is None:
                break
        return parts

    def _pair(self, table: Node, parts: list[tuple[str, int, int]]) -> Node:
        holds, (name, start, end) = self._holder(table, parts), parts[-1]
        if name in holds:
            self.again = (start, end, holds[name].key)
        node = holds[name] = Node(start, end, start, end)
        return node

    def _header(self) -> None:
        opened = self._at
        double = (self._take(_OPEN) or "").startswith("[[")
        parts = self._key()
        self._take(_CLOSE)
        if not parts:
            return
        holds, (name, start, end) = self._holder(self.root, parts), parts[-1]
        old = holds.get(name)
        if old is not None and not (double and old.is_array):
            self.again = (start, end, old.key)
        table = self.last = self._table = Node(start, end, opened, self._at, {})
        if double:
            array = holds.setdefault(name, Node(start, end, opened, self._at, {}, is_array=True))
            elements = array.holds = array.holds or {}
            elements[len(elements)] = table
            return
        if old is not None:  # a longer header named it before
            table.holds = old.holds
        holds[name] = table

    def _holder(self, node: Node, parts: list[tuple[str, int, int]]) -> dict[str | int, Node]:
        """Return what the table holds that takes the last part, made where it is not there yet."""
        holds = node.holds if node.holds is not None else {}
        for name, start, end in parts[:-1]:
            node = holds.setdefault(name, Node(start, end, start, end, {}))
            if node.holds and node.is_array:
                node = node.holds[len(node.holds) - 1]
            if node.holds is None:  # a value where a table is wanted
                self.again, node.holds = (start, end, node.key), {}
            holds = node.holds
        return holds


def _name(part: str) -> str:
    """Return the key that one part of a dotted key spells."""
    if part.startswith('"'):
        return _ESCAPE.sub(_unescape, part[1:-1])
    return part[1:-1] if part.startswith("'") else part


def _unescape(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    return chr(int(digits, 16)) if digits else _ESCAPED.get(match[4], match[4])
