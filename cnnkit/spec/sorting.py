"""What an entry of pydantic's errors really is: validators of plugins raise anything they like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnnkit.registry import Registry
from cnnkit.spec.findings import Finding
from cnnkit.spec.names import class_at, options_at
from cnnkit.spec.source import KeyPath
from cnnkit.spec.tree import at, place, real_path, toml_value

_FACTS = {
    "unknown_type": ("name", "family"),
    "type_clash": ("text",),
    "literal_error": ("expected",),
    "greater_than": ("gt",),
    "greater_than_equal": ("ge",),
    "less_than": ("lt",),
    "less_than_equal": ("le",),
    "multiple_of": ("multiple_of",),
    "too_short": ("min_length",),
    "too_long": ("max_length",),
    "string_too_short": ("min_length",),
    "string_too_long": ("max_length",),
    "string_pattern_mismatch": ("pattern",),
}
"""What comes with an error of each kind, unless a validator borrowed the kind's name."""


def sort(error: Mapping[str, Any], tree: Any, registry: Registry) -> Mapping[str, Any]:
    """Return an error under the kind that says best what it is.

    "wrong_default" where the spec leaves out what does not fit; "own_words" where only the
    message can tell.
    """
    kind, path = error["type"], real_path(tree, error["loc"])
    if kind != "missing" and _left_out(error["loc"], path, tree, registry):
        return {**error, "type": "wrong_default"}
    facts = error.get("ctx", {})
    is_borrowed = any(name not in facts for name in _FACTS.get(kind, ()))
    if kind == "missing":
        is_borrowed = path == error["loc"]
    elif kind == "extra_forbidden":
        holder = at(tree, path[:-1])
        known = options_at(tree, path[:-1], registry) if isinstance(holder, dict) else path[-1:]
        is_borrowed = path != error["loc"] or path[-1] in known
    elif kind == "missing_type":
        table = at(tree, path)
        is_borrowed = not isinstance(table, dict) or isinstance(table.get("type"), str)
    return {**error, "type": "own_words"} if is_borrowed else error


def wrong_default(error: Mapping[str, Any], tree: Any, registry: Registry) -> Finding:
    """Return a finding about a component whose own default does not fit: the fault of its owner."""
    path = real_path(tree, error["loc"])
    cls, option = class_at(tree, path, registry), error["loc"][len(path)]
    entry = registry.entry_of(cls) if cls else None
    owner = f"{entry.type} of {entry.owner}" if entry else "cnnkit"
    message = (
        f'{place(tree, path)}the default of "{option}", which {owner} sets, does not fit: '
        f"{error['msg']}, got {toml_value(error['input'])}"
    )
    return Finding(path, message, help=f"give {option} a value; only {owner} can mend its default")


def _left_out(loc: tuple[str | int, ...], path: KeyPath, tree: Any, registry: Registry) -> bool:
    """Tell if an error's location goes on, where the spec ends, with an option of the class."""
    if len(path) == len(loc) or not isinstance(at(tree, path), dict | str):
        return False
    cls = class_at(tree, path, registry)
    return cls is not None and str(loc[len(path)]) in cls.model_fields
