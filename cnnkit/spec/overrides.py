"""`--set key.path=value`: values laid over a spec's tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import tomli

from cnnkit.spec.findings import Finding, FindingError
from cnnkit.spec.source import Override
from cnnkit.spec.syntax import BIDI
from cnnkit.spec.tree import toml_value


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
        override = Override(argument, (), None)
        help_ = "write --set train.epochs=5, or --set model.layers.0.filters=8 for the first layer"
        wrong = "a name is missing in its key" if equals and key.strip() else "expected KEY=VALUE"
        raise FindingError(
            Finding((), f"cannot read {argument!r}: {wrong}", help=help_, at="key"), override
        )
    path = tuple(int(p) if re.fullmatch(r"\d{1,9}", p) else p for p in parts)
    return Override(argument, path, _value(text.strip()))


def _value(text: str) -> Any:
    try:
        return tomli.loads(f"value = {text}\n")["value"]
    except (ValueError, RecursionError):
        return text


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
            override = parse_override(argument)
            _apply(tree, override)
        except FindingError as error:
            refused.append(error)
        else:
            overrides.append(override)
    return tuple(overrides), refused


def _apply(tree: dict[str, Any], override: Override) -> None:
    node: Any = tree
    for depth, step in enumerate(override.path[:-1]):
        node = _descend(node, step, override, depth)
    last = override.path[-1]
    if isinstance(node, list):
        _check_index(node, last, override, len(override.path) - 1)
    elif not isinstance(node, dict):
        raise _no_way(override, len(override.path) - 1, node)
    node[last] = override.value


def _descend(node: Any, step: str | int, override: Override, depth: int) -> Any:
    if isinstance(node, list):
        _check_index(node, step, override, depth)
    elif isinstance(node, dict):
        node.setdefault(step, {})
    else:
        raise _no_way(override, depth, node)
    if isinstance(node[step], str):  # the shorthand "relu" becomes a table to set options in
        node[step] = {"type": node[step]}
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
