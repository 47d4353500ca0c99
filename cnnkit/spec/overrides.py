"""`--set key.path=value`: values laid over a spec's tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tomli

from cnnkit.spec.findings import Finding, FindingError
from cnnkit.spec.names import takes_component
from cnnkit.spec.source import KeyPath, Override
from cnnkit.spec.syntax import BIDI
from cnnkit.spec.tree import toml_value

_DEEPEST = 64
"""Parts of a key; deeper ones would exhaust the stack of whoever walks the tree."""


def parse_override(argument: str) -> Override:
    """Read `train.epochs=5`: the value is TOML, a bare word is a string.

    Raises:
        FindingError: where it cannot be read.
    """
    key, equals, text = argument.partition("=")
    if reverses := BIDI.search(argument):
        code = f"U+{ord(reverses.group()):04X}"
        message = f"a character ({code}) that reverses text, so that it reads as what it is not"
        raise FindingError(Finding((), message, help="take it out"), Override(argument, (), None))
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        wrong = "a name is missing in its key" if equals and key.strip() else "expected KEY=VALUE"
        help_ = "write --set train.epochs=5, or --set model.layers.0.filters=8 for the first layer"
        raise _unreadable(argument, wrong, help_)
    if len(parts) > _DEEPEST:
        wrong = f"its key has {len(parts)} parts, more than {_DEEPEST}"
        raise _unreadable(argument, wrong, "no option lies that deep")
    path = tuple(int(p) if re.fullmatch(r"\d{1,9}", p) else p for p in parts)
    read = _read(text.strip())
    if read.keys() != {"value"}:
        wrong = "expected one value, got more lines"
        raise _unreadable(argument, wrong, "give every KEY=VALUE a --set of its own")
    return Override(argument, path, read["value"])


def _unreadable(argument: str, wrong: str, help_: str) -> FindingError:
    shown = repr(argument if len(argument) <= 60 else f"{argument[:57]}...")
    finding = Finding((), f"cannot read {shown}: {wrong}", help=help_, at="key")
    return FindingError(finding, Override(argument, (), None))


def _read(text: str) -> dict[str, Any]:
    try:
        return tomli.loads(f"value = {text}\n")
    except (ValueError, RecursionError):
        return {"value": text}


def apply_overrides(
    tree: dict[str, Any], arguments: Sequence[str]
) -> tuple[tuple[Override, ...], list[FindingError]]:
    """Lay `arguments` over `tree` in place, in order; later ones win.

    Returns:
        What was laid over it, and why the others could not be: all of them, at once.
    """
    overrides, refused = [], []
    for argument in arguments:
        try:
            overrides.append(_apply(tree, parse_override(argument)))
        except FindingError as error:
            refused.append(error)
    return tuple(overrides), refused


def _apply(tree: dict[str, Any], override: Override) -> Override:
    """Lay an override over the tree; return it with the path that the tree has."""
    node: Any = tree
    path: KeyPath = ()
    for depth, step in enumerate(override.path):
        if isinstance(node, list):
            _check_index(node, step, override, depth)
        elif not isinstance(node, dict):
            raise _no_way(override, depth, node)
        path = (*path, step if isinstance(node, list) else str(step))
        if depth + 1 < len(override.path):
            node = _descend(node, path)
    node[path[-1]] = override.value
    return replace(override, path=path)


def _descend(node: Any, path: KeyPath) -> Any:
    """Return what is at the end of `path`, which `node` holds; a table if there was nothing."""
    step = path[-1]
    if isinstance(node, dict):
        node.setdefault(step, {})
    if isinstance(node[step], str) and takes_component(path):
        node[step] = {"type": node[step]}  # "relu" becomes a table to set options in
    return node[step]


def _check_index(node: list[Any], step: str | int, override: Override, depth: int) -> None:
    if not isinstance(step, int) or step >= len(node):
        raise _no_way(override, depth, node)


def _no_way(override: Override, depth: int, node: Any) -> FindingError:
    name, step = ".".join(map(str, override.path[:depth])) or "the spec", override.path[depth]
    target = ".".join(map(str, override.path))
    if isinstance(node, list):
        reason, note = f"{name} is an array and has no {step!r}", f"expected 0 to {len(node) - 1}"
        note = f"{note}, the first one being 0" if node else "the array is empty"
    else:
        reason, note = f"{name} is {toml_value(node)}, which holds no options", ""
    finding = Finding(override.path[: depth + 1], f"cannot set {target}: {reason}", note, at="key")
    return FindingError(finding, override)
