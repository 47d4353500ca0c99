"""Overrides: the `--set` arguments, laid over the tables of a spec."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal, NamedTuple

import tomli

from cnnkit.base.place import KeyPath
from cnnkit.registry import Registry
from cnnkit.source import BIDI, Finding, FindingError, Override, slot_at
from cnnkit.specfile.runspec import RunSpec

DEEPEST = 64
"""Parts of a key, and tables in tables: deeper ones would exhaust the stack of who walks them."""


def parse_override(argument: str) -> Override:
    """Read `train.epochs=5`: the value is TOML, a bare word is a string.

    Raises:
        FindingError: where it cannot be read.
    """
    key, equals, text = argument.partition("=")
    if reverses := BIDI.search(argument):
        code = f"U+{ord(reverses.group()):04X}"
        message = f"a character ({code}) that reverses text, so that it reads as what it is not"
        raise _refusal(argument, message, "take it out", "value")
    shown = repr(argument if len(argument) <= 60 else f"{argument[:57]}...")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        wrong = "a name is missing in its key" if equals and key.strip() else "expected KEY=VALUE"
        help_ = "write --set train.epochs=5, or --set model.layers.0.filters=8 for the first layer"
        raise _refusal(argument, f"cannot read {shown}: {wrong}", help_)
    if len(parts) > DEEPEST:
        wrong = f"its key has {len(parts)} parts, more than {DEEPEST}"
        raise _refusal(argument, f"cannot read {shown}: {wrong}", "no option lies that deep")
    if parts[0] in ("format", "include"):
        wrong = f"cannot set {parts[0]}: which files make a spec is settled before any --set"
        raise _refusal(argument, wrong, "write it at the top of the file")
    path = tuple(int(p) if re.fullmatch(r"\d{1,9}", p) else p for p in parts)
    read = _read_value(text.strip())
    if read.keys() != {"value"}:
        wrong = f"cannot read {shown}: expected one value, got more lines"
        raise _refusal(argument, wrong, "give every KEY=VALUE a --set of its own")
    return Override(argument, path, read["value"])


def _refusal(
    argument: str, message: str, help_: str, at: Literal["key", "value"] = "key"
) -> FindingError:
    override = Override(argument, (), None)
    return FindingError(Finding((), message, help=help_, at=at, override=override))


def _read_value(text: str) -> dict[str, Any]:
    try:
        return tomli.loads(f"value = {text}\n")
    except (ValueError, RecursionError):
        return {"value": text}


class Late(NamedTuple):
    """An override that waits at the end of a list for the layer which it names: a copy, perhaps.

    Args:
        depth: how many parts of the key lead to that layer.
    """

    override: Override
    depth: int


def apply_overrides(
    tree: dict[str, Any], arguments: Sequence[str], registry: Registry, may_wait: bool = False
) -> tuple[tuple[Override, ...], list[Finding]]:
    """Lay `arguments` over `tree` in place, in order; later ones win.

    Args:
        may_wait: leave those in the tree that name a layer which is not there, as `Late`.

    Returns:
        What was laid over it, and why the others could not be: all of them, at once.
    """
    overrides, refused = [], []
    for argument in arguments:
        try:
            done = lay(tree, parse_override(argument), registry, may_wait)
        except FindingError as error:
            refused.append(error.finding)
        else:
            overrides += [done] if done else []
    return tuple(overrides), refused


def lay(
    tree: dict[str, Any],
    override: Override,
    registry: Registry,
    may_wait: bool,
    path: KeyPath = (),
    done: int = 0,
) -> Override | None:
    """Lay an override over the tree; return it with the path that the tree has, None if it waits.

    Args:
        path: where the first `done` parts of its key lead.

    Raises:
        FindingError: where there is no such place.
    """
    node: Any = tree
    for step in path:
        node = node[step]
    for depth, step in enumerate(override.path[done:], done + 1):
        is_item = isinstance(node, list)
        if is_item and isinstance(step, str):
            step = _named(node, override.path, depth)
            if may_wait and isinstance(step, str):
                node.append(Late(override, depth))
                return None
        count = sum(not isinstance(one, Late) for one in node) if is_item else 0
        if not isinstance(node, dict) and not (isinstance(step, int) and step < count):
            raise FindingError(no_way(override, depth, node))
        path = (*path, step if is_item else str(step))
        if depth < len(override.path):
            node = _descend(node, tree, path, registry)
    node[path[-1]] = deepcopy(override.value)
    return override._replace(path=path)


def _named(chain: list[Any], key: KeyPath, depth: int) -> int | str:
    """Return the number of the layer that a part of a key names, or that name if there is none.

    A repeat has no layers: its copies have, which are yet to come.
    """
    name, of_copy = str(key[depth - 1]), key[depth : depth + 1] == ("layers",)
    for index, one in enumerate(chain):
        is_it = isinstance(one, dict) and one.get("name") == name
        if is_it and not (of_copy and one.get("type") == "repeat"):
            return index
    return name


def _descend(node: Any, tree: dict[str, Any], path: KeyPath, registry: Registry) -> Any:
    """Return what is at `path`, the end of which `node` holds; a table if there was nothing."""
    step = path[-1]
    if isinstance(node, dict):
        node.setdefault(step, {})
    slot = slot_at(RunSpec, tree, path, registry)
    if isinstance(node[step], str) and slot and slot.family and not slot.many:
        node[step] = {"type": node[step]}  # "relu" becomes a table to set options in
    return node[step]


def no_way(override: Override, depth: int, node: Any, made: Sequence[Any] = ()) -> Finding:
    """Return why an override does not get beyond the first parts of its key.

    Args:
        made: what the list that it does not get beyond was written out to.
    """
    from cnnkit.diagnosis.source import toml_value

    *outer, step = override.path[:depth]
    name, target = ".".join(map(str, outer)) or "the spec", ".".join(map(str, override.path))
    note = help_ = ""
    if isinstance(node, list):
        items = [one for one in node if not isinstance(one, Late)]
        reason, note = f"{name} is an array and has no {step!r}", "the array is empty"
        if items:
            names = _names(made or items)
            note = f"expected 0 to {len(items) - 1}, {names or 'the first one being 0'}"
        repeats = [i for i in items if isinstance(i, dict) and i.get("type") == "repeat"]
        if repeats and not made:
            copy = f"{repeats[0].get('name', repeats[0].get('block'))}_1"
            help_ = f"a number counts what the file has; a copy goes by its name, such as {copy}"
    else:
        reason = f"{name} is {toml_value(node)}, which holds no options"
    message, path = f"cannot set {target}: {reason}", override.path[:depth]
    return Finding(path, message, note, help_, at="key", override=override)


def _names(chain: Sequence[Any]) -> str:
    """Return what some layers of a list are called: "or unit_1, unit_2, ..."."""
    names = [str(one["name"]) for one in chain if isinstance(one, dict) and "name" in one]
    return f"or {', '.join(names[:5])}{', ...' * (len(names) > 5)}" if names else ""


class Waiting:
    """The overrides that name layers which a spec has only when it is written out.

    A path `at` leads through what is made; without a registry, nothing is laid over that.
    """

    def __init__(self, registry: Registry | None) -> None:
        self.lost: list[Finding] = []  # why some could not be laid over anything
        self._registry = registry
        self._late: dict[KeyPath, list[Late]] = {}  # by the list that they wait in
        self._starts: dict[KeyPath, list[int]] = {}  # where what an item of a list became begins
        self._laid: list[tuple[KeyPath, Override]] = []  # over which layer, and how on in the file

    def begin(self, at: KeyPath, items: list[Any]) -> list[Any]:
        """Return what a list holds besides those that wait in it."""
        self._starts[at] = []
        late = [item for item in items if isinstance(item, Late)]
        self._late[at] = late if self._registry else []
        return items[: len(items) - len(late)]

    def reach(self, at: KeyPath, number: int) -> None:
        """Note where the next item of a list begins."""
        self._starts[at].append(number)

    def end(self, at: KeyPath, items: list[Any], made: list[Any]) -> None:
        """Note which of them named nothing in a list."""
        self.lost += [no_way(one.override, one.depth, items, made) for one in self._late[at]]

    def at(self, at: KeyPath) -> bool:
        """Tell if some wait in a list."""
        return bool(self._late[at])

    def lay(self, layer: dict[str, Any], at: KeyPath) -> Any:
        """Return a layer as those have it that name it; itself if none does."""
        late = self._late[at[:-1]]
        mine = [one for one in late if one.override.path[one.depth - 1] == layer["name"]]
        if not (mine and self._registry):
            return layer
        chain: list[Any] = [deepcopy(layer)]
        tree, path = {"model": {"layers": chain}}, ("model", "layers")
        for one in mine:
            late.remove(one)
            try:
                done = lay(tree, one.override, self._registry, True, path, one.depth - 1)
            except FindingError as error:
                self.lost.append(error.finding)
                continue
            self._laid += [(at, done._replace(path=done.path[3:]))] if done else []
        late += chain[1:]
        return chain[0]

    def laid(self) -> tuple[Override, ...]:
        """Return those that were laid over a layer, with the paths of what is made."""
        return tuple(one._replace(path=self._way(at, one.path)) for at, one in self._laid)

    def _way(self, at: KeyPath, steps: KeyPath) -> KeyPath:
        for step in steps:
            starts = self._starts.get(at, [])
            at = (*at, starts[step] if isinstance(step, int) and step < len(starts) else step)
        return at
