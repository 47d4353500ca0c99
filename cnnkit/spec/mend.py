"""Mend a tree as its author probably meant it, so that one mistake does not hide the next."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from cnnkit.registry import Registry
from cnnkit.spec.guess import guess
from cnnkit.spec.names import belongs_to_the_top, options_at
from cnnkit.spec.problems import did_you_mean
from cnnkit.spec.source import KeyPath
from cnnkit.spec.tree import at, is_layer, real_path, table_of

_STAND_INS: dict[str, Any] = {
    "name": "unnamed",
    "data": {"type": "digits"},
    "model": {"layers": ["relu"]},
    "loss": {"type": "mean_squared_error"},
    "optimizer": {"type": "sgd", "lr": 0.1},
}
"""What takes the place of a section that is missing, or beyond guessing."""
_LAYER = "relu"
"""What takes the place of such a layer."""
_HARMLESS = ("initializers", "schedules", "metrics", "observers")
"""Families on which neither shapes nor classes depend."""


@dataclass
class Mender:
    """Mends a copy of a spec's tree, and keeps what the copy no longer tells of the spec.

    Args:
        renamed: from where an option is in the copy to where it was written.
        dropped: what was left out or replaced, since nobody can guess what was meant.
    """

    tree: dict[str, Any]
    registry: Registry
    renamed: dict[KeyPath, KeyPath] = field(default_factory=dict)
    dropped: set[KeyPath] = field(default_factory=set)

    def mend(self, error: Mapping[str, Any]) -> None:
        """Change the tree so that `error` goes away."""
        path, kind = real_path(self.tree, error["loc"]), error["type"]
        match kind:
            case "extra_forbidden":
                self._rename(path)
            case "unknown_type":
                self._retype(path, error["ctx"])
            case "missing" if not path:
                self._drop((error["loc"][0],))
            case "missing" | "missing_type" | "type_clash" | "component_type" | "wrong_default":
                self._drop(path)
            case _:
                self._revalue(path, error)

    def written(self, path: KeyPath) -> KeyPath:
        """Return where what is at `path` in the copy stands in the spec."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.renamed:
                return self.renamed[path[:length]] + path[length:]
        return path

    def _rename(self, path: KeyPath) -> None:
        table, name = at(self.tree, path[:-1]), str(path[-1])
        is_misplaced = name not in self.tree and belongs_to_the_top(self.tree, path)
        value = table.pop(path[-1])
        meant = did_you_mean(name, options_at(self.tree, path[:-1], self.registry))
        if meant and meant not in table:
            table[meant] = value
            self.renamed[(*path[:-1], meant)] = self.written(path)
        elif is_misplaced:
            self.tree[name] = value
            self.renamed[(name,)] = self.written(path)
        else:
            self.dropped.add(path)

    def _retype(self, path: KeyPath, facts: Mapping[str, Any]) -> None:
        meant = did_you_mean(facts["name"], self.registry.types(facts["family"]))
        if not meant:
            self._drop(path, is_harmless=facts["family"] in _HARMLESS)
        elif isinstance(at(self.tree, path), dict):
            at(self.tree, path)["type"] = meant
        else:
            at(self.tree, path[:-1])[path[-1]] = meant

    def _revalue(self, path: KeyPath, error: Mapping[str, Any]) -> None:
        meant = guess(error, at(self.tree, path))
        if meant is None:
            self._drop(path)
        else:
            at(self.tree, path[:-1])[path[-1]] = meant

    def _drop(self, path: KeyPath, is_harmless: bool = False) -> None:
        """Leave out the option at `path`; put a stand-in in the place of a layer or section."""
        if not is_harmless:
            self.dropped.add(path)
        table = table_of(self.tree, path)
        if len(path) == 1:
            self.tree.pop(str(path[0]), None)
            if path[0] in _STAND_INS:
                self.tree[str(path[0])] = deepcopy(_STAND_INS[str(path[0])])
        elif is_layer(path):
            at(self.tree, path[:-1])[path[-1]] = _LAYER
        else:
            option = path[: len(table) + 1]  # all of it, where an element alone is wrong
            at(self.tree, table).pop(option[-1], None)
            if not is_harmless:
                self.dropped.add(option)
