"""Say in cnnkit's words what pydantic found wrong with a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from cnnkit.base import Pair
from cnnkit.registry import Registry
from cnnkit.spec.findings import Finding
from cnnkit.spec.guess import guess, suggested_word
from cnnkit.spec.names import class_at, missing_type, unknown_option, unknown_type
from cnnkit.spec.sorting import wrong_default
from cnnkit.spec.source import KeyPath
from cnnkit.spec.tree import at, is_layer, place, real_path, table_of, toml_value

_PAIR = "be a whole number or [height, width]"
_EXPECTED = {
    "int_type": "be a whole number",
    "int_from_float": "be a whole number",
    "int_parsing_size": "be a smaller number",
    "float_type": "be a number",
    "bool_type": "be true or false",
    "string_type": "be a string",
    "list_type": "be an array",
    "tuple_type": _PAIR,
    "dict_type": "be a table",
    "model_type": "be a table",
    "model_attributes_type": "be a table",
    "finite_number": "be a finite number",
    "greater_than": "be > {gt}",
    "greater_than_equal": "be >= {ge}",
    "less_than": "be < {lt}",
    "less_than_equal": "be <= {le}",
    "multiple_of": "be a multiple of {multiple_of}",
    "literal_error": "be {expected}",
    "too_short": "have at least {min_length} element{min_s}",
    "too_long": "have at most {max_length} element{max_s}",
    "string_too_short": "have at least {min_length} character{min_s}",
    "string_too_long": "have at most {max_length} character{max_s}",
    "string_pattern_mismatch": "match {pattern}",
    "component_type": "be a table with a type, or a type's name",
    "missing": _PAIR,  # of an element of [height, width]; for an option see names.py
}
_NAME = "be at most 64 letters, digits, dots, dashes and underscores, a letter or digit first"
_HELP = {
    "list_type": "write it in brackets, even where there is only one element",
    "component_type": 'such as { type = "relu" } or "relu"; a chain within a chain is '
    '{ type = "sequential", layers = [...] }',
}


def explain(error: Mapping[str, Any], tree: Any, registry: Registry) -> Finding:
    """Turn one entry of `ValidationError.errors()` into a finding."""
    path = real_path(tree, error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return unknown_option(tree, path, registry)
        case "unknown_type":
            return unknown_type(tree, path, error["ctx"], registry)
        case "missing_type":
            return missing_type(tree, path)
        case "wrong_default":
            return wrong_default(error, tree, registry)
        case "type_clash":
            inner = (*path, "type") if isinstance(at(tree, path), dict) else path
            return Finding(inner, place(tree, path) + error["ctx"]["text"])
    expected = _expected(error, path)
    expected = _parts(tree, path, registry) if expected == _PAIR else expected
    return (
        _about_value(error, path, expected, tree) if expected else _in_own_words(error, path, tree)
    )


def _about_value(error: Mapping[str, Any], path: KeyPath, expected: str, tree: Any) -> Finding:
    got, kind = at(tree, path), error["type"]
    word, likely = suggested_word(error, got), guess(error, got)
    note = f'did you mean "{word}"?' if word else ""
    is_plain = kind.startswith(("int_", "float_", "bool_")) or expected == _PAIR
    is_plain = is_plain or isinstance(got, bool)  # "none" and "tied" where false and true stand
    if is_plain and likely is not None:
        note = f"write {toml_value(likely)}"
    message = f"{_subject(tree, path)} must {expected}, got {toml_value(got)}"
    return Finding(path, message, note, _help(kind, path))


def _help(kind: str, path: KeyPath) -> str:
    if path == ("model", "input"):
        return "write it as [C, H, W]: channels, height, width"
    if _EXPECTED.get(kind) == "be a table" and len(path) == 1:
        return f"write [{path[0]}] on a line of its own, and the options below it"
    return _HELP.get(kind, "") if is_layer(path) or kind == "list_type" else ""


def _in_own_words(error: Mapping[str, Any], path: KeyPath, tree: Any) -> Finding:
    """Explain an error that a component's own validator raised."""
    text, got = re.sub(r"\A(Value error|Assertion failed), ", "", error["msg"]), at(tree, path)
    if isinstance(got, dict):  # options that do not fit together: point at the one named first
        first = re.match(r"\w*", text)
        inner = (*path, first.group()) if first and first.group() in got else path
        return Finding(inner, place(tree, path) + text)
    return Finding(path, f"{_subject(tree, path)}: {text}", f"got {toml_value(got)}")


def _expected(error: Mapping[str, Any], path: KeyPath) -> str:
    """Return what the value must be, "" where only the message can tell."""
    kind, facts = error["type"], dict(error.get("ctx", {}))
    if kind == "string_pattern_mismatch" and path == ("name",):
        return _NAME
    if kind in ("too_long", "too_short") and facts.get("field_type") == "Tuple":
        return _PAIR
    if kind not in _EXPECTED:
        text = error["msg"]
        return f"be {text.removeprefix('expected ')}" if text.startswith("expected ") else ""
    for bound in ("min", "max"):
        facts[f"{bound}_s"] = "s" * (facts.get(f"{bound}_length") != 1)
    if "expected" in facts:
        facts["expected"] = facts["expected"].replace("'", '"')
    return _EXPECTED[kind].format_map({name: _number(value) for name, value in facts.items()})


def _parts(tree: Any, path: KeyPath, registry: Registry) -> str:
    """Return what an option with a fixed number of elements must be: not all are sides."""
    table = table_of(tree, path)
    cls, name = class_at(tree, table, registry), path[len(table) : len(table) + 1]
    field = cls.model_fields.get(str(name[0])) if cls and name else None
    kind = field.annotation if field else None
    is_other = get_origin(kind) is tuple and kind != get_args(Pair)[0]
    return f"be an array of {len(get_args(kind))} elements" if is_other else _PAIR


def _number(value: Any) -> Any:
    """Write a bound of 0.0 as people do: 0."""
    return f"{value:g}" if isinstance(value, float) else value


def _subject(tree: Any, path: KeyPath) -> str:
    """Return "layer 1 (conv): kernel", or "layer 2" where the layer itself is wrong."""
    if is_layer(path):
        return place(tree, path).removesuffix(": ")
    table = table_of(tree, path)
    names = [str(step) for step in path[len(table) :] if isinstance(step, str)]
    return place(tree, table) + (names[-1] if names else "the spec")
