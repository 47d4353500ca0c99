"""What is where in a spec: in its tree of plain values, and in the text."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from cnnkit.base.component import Component, chain_name, singular
from cnnkit.base.place import LAYER_NAME, KeyPath
from cnnkit.diagnosis.toml import Node, Scanner
from cnnkit.registry import Registry
from cnnkit.source import class_at, slot_at


@dataclass(frozen=True, slots=True)
class Draft:
    """A spec's tree of plain values, right or wrong, and what may stand where in it.

    Args:
        root: the class that the tree is to be validated by.
    """

    root: type[BaseModel]
    tree: Any
    registry: Registry
    _found: dict[tuple[str, str], type[Component]] = field(default_factory=dict, repr=False)

    def find(self, family: str, name: str) -> type[Component]:
        """Return what the registry does, which is asked once: there may be thousands of problems.

        Raises:
            PydanticCustomError: as the registry does.
        """
        if (family, name) not in self._found:
            self._found[family, name] = self.registry.find(family, name)
        return self._found[family, name]

    @property
    def is_spec(self) -> bool:
        """Whether it is a whole spec; else it is the options of a component, given in Python."""
        return not issubclass(self.root, Component)

    def at(self, path: KeyPath) -> Any:
        """Return what is at `path`."""
        value = self.tree
        for step in path:
            value = value[step]
        return value

    def real_path(self, loc: KeyPath) -> KeyPath:
        """Cut pydantic's location to the part that exists in the tree."""
        value: Any = self.tree
        path: KeyPath = ()
        for step in loc:
            is_item = isinstance(value, list) and isinstance(step, int) and step < len(value)
            if not is_item and not (isinstance(value, dict) and step in value):
                break
            value, path = value[step], (*path, step)
        return path

    def class_at(self, path: KeyPath) -> type[BaseModel] | None:
        """Return the class of the component or section at `path`, None where it is unknown."""
        return class_at(self.root, self.tree, path, self)

    def family_at(self, path: KeyPath) -> str:
        """Return the family of which a component is expected at `path`, or ""."""
        slot = slot_at(self.root, self.tree, path, self)
        return slot.family if slot and not slot.many else ""

    def is_layer(self, path: KeyPath) -> bool:
        """Tell if a layer is expected at `path`."""
        return self.family_at(path) == "layers"

    def is_branch(self, path: KeyPath) -> bool:
        """Tell if one of several chains is expected at `path`."""
        return isinstance(path[-1], int) and self.is_layer((*path, 0))

    def options_at(self, path: KeyPath) -> list[str]:
        """Return the option names of the component or section whose table is at `path`."""
        cls = self.class_at(path)
        if cls is not None and issubclass(cls, Component):
            return cls.option_names()
        return [name for name in cls.model_fields if name != "type"] if cls else []

    def type_at(self, path: KeyPath) -> str:
        """Return the type that the component at `path` has or is, "" where there is none."""
        if not path and issubclass(self.root, Component):
            return self.root.type_name()
        value = self.at(path)
        kind = value.get("type", "") if isinstance(value, dict) else value
        kind = value.type if isinstance(value, Component) else kind
        return kind if isinstance(kind, str) else ""

    def table_of(self, path: KeyPath) -> KeyPath:
        """Return the path of the innermost table or layer around what is at `path`."""
        for length in range(len(path) - 1, 0, -1):
            if isinstance(self.at(path[:length]), dict) or self.is_layer(path[:length]):
                return path[:length]
        return ()

    def place(self, path: KeyPath) -> str:
        """Return "layer 3 (residual) > layer 1 (conv): ", "[optimizer] schedule: ", or ""."""
        words = "" if self.is_spec else self.type_at(())
        for depth, step in enumerate(path, 1):
            if isinstance(step, int):
                words = self._element(words, path[:depth])
            elif isinstance(path[depth] if depth < len(path) else "", int):
                continue  # its elements are called by its name
            elif depth == 1 and self.is_spec:
                words = f"[{step}]" if isinstance(self.at(path[:1]), dict | str) else ""
            else:
                words = f"{words} {step}"
        return f"{words.strip()}: " if words else ""

    def _element(self, words: str, path: KeyPath) -> str:
        """Return `words` with what they call the element of a list at the end of `path`."""
        *_, option, index = path
        kind, holder, own = self.type_at(path), self.class_at(path[:-2]), self.at(path)
        name = own.get("name") if isinstance(own, dict) else getattr(own, "name", None)
        is_named = isinstance(name, str) and LAYER_NAME.fullmatch(name) and self.is_layer(path)
        name = f" {name}" if is_named else ""
        number = f"{int(index) + 1} ({shortened(kind)}{name})" if kind else f"{int(index) + 1}"
        if isinstance(option, int):  # in a chain among several
            return f"{words} layer {number}"
        if self.is_branch(path):
            return f"{words} > {singular(str(option))} {int(index) + 1}"
        if not self.is_layer(path):
            return f"{words} {singular(str(option))} {number}"
        if not (holder and issubclass(holder, Component)):
            return f"layer {number}"  # of the whole network
        return f"{words} > {f'{chain_name(holder, str(option))} layer {number}'.strip()}"


def shortened(text: str) -> str:
    """Return a text of 40 characters at most."""
    return text if len(text) <= 40 else f"{text[:37]}..."


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
    return shortened(text)


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
