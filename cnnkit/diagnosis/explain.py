"""Say in cnnkit's words what is wrong with a value, an option or a type."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from cnnkit.base import Pair
from cnnkit.base.place import LAYER_NAME, KeyPath
from cnnkit.diagnosis.names import missing_type, unknown_option, unknown_type
from cnnkit.diagnosis.problems import did_you_mean
from cnnkit.diagnosis.source import Draft, toml_value
from cnnkit.errors import OptionError
from cnnkit.source import Finding

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


def classify(error: Mapping[str, Any], draft: Draft) -> Mapping[str, Any]:
    """Return an error under the kind that says best what it is.

    "wrong_default" where the spec leaves out what does not fit; "own_words" where only the
    message can tell.
    """
    kind, path = error["type"], draft.real_path(error["loc"])
    if kind != "missing" and _left_out(error["loc"], path, draft):
        return {**error, "type": "wrong_default"}
    facts = error.get("ctx", {})
    is_borrowed = any(name not in facts for name in _FACTS.get(kind, ()))
    if kind == "missing":
        is_borrowed = path == error["loc"]
    elif kind == "extra_forbidden":
        holder = draft.at(path[:-1])
        known = draft.options_at(path[:-1]) if isinstance(holder, dict) else path[-1:]
        is_borrowed = path != error["loc"] or path[-1] in known
    elif kind == "missing_type":
        table = draft.at(path)
        is_borrowed = not isinstance(table, dict) or isinstance(table.get("type"), str)
    return {**error, "type": "own_words"} if is_borrowed else error


def wrong_default(error: Mapping[str, Any], draft: Draft) -> Finding:
    """Return a finding about a component whose own default does not fit: the fault of its owner."""
    path = draft.real_path(error["loc"])
    cls, option = draft.class_at(path), error["loc"][len(path)]
    entry = draft.registry.entry_of(cls) if cls else None
    owner = f"{entry.type} of {entry.owner}" if entry else "cnnkit"
    message = (
        f'{draft.place(path)}the default of "{option}", which {owner} sets, does not fit: '
        f"{error['msg']}, got {toml_value(error['input'])}"
    )
    return Finding(path, message, help=f"give {option} a value; only {owner} can mend its default")


def _left_out(loc: KeyPath, path: KeyPath, draft: Draft) -> bool:
    """Tell if an error's location goes on, where the spec ends, with an option of the class."""
    if len(path) == len(loc) or not isinstance(draft.at(path), dict | str):
        return False
    cls = draft.class_at(path)
    return cls is not None and str(loc[len(path)]) in cls.model_fields


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
    "control_character": "write it in single quotes: in double ones a backslash starts an escape",
    "list_type": "write it in brackets, even where there is only one element",
    "component_type": 'such as { type = "relu" } or "relu"; a chain within a chain is '
    '{ type = "sequential", layers = [...] }',
}


def explain(error: Mapping[str, Any], draft: Draft) -> Finding:
    """Turn one entry of `ValidationError.errors()` into a finding."""
    path = draft.real_path(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return unknown_option(draft, path)
        case "unknown_type":
            return unknown_type(draft, path, error["ctx"])
        case "missing_type":
            return missing_type(draft, path)
        case "same_name":
            name, index, first = (error["ctx"][key] for key in ("name", "index", "first"))
            said = f'{draft.place((*path, index))}the name "{name}" is that of layer {first}, too'
            return Finding((*path, index, "name"), said, help="names in a chain must differ")
        case "wrong_default":
            return wrong_default(error, draft)
        case "type_clash":
            inner = (*path, "type") if isinstance(draft.at(path), dict) else path
            return Finding(inner, draft.place(path) + error["ctx"]["text"])
    expected = _expected(error, path)
    expected = _parts(draft, path) if expected == _PAIR else expected
    return (
        _about_value(error, path, expected, draft)
        if expected
        else _in_own_words(error, path, draft)
    )


def _about_value(error: Mapping[str, Any], path: KeyPath, expected: str, draft: Draft) -> Finding:
    got, kind = draft.at(path), error["type"]
    word, likely = suggested_word(error, got), guess(error, got)
    note = f'did you mean "{word}"?' if word else ""
    is_plain = kind.startswith(("int_", "float_", "bool_")) or expected == _PAIR
    is_plain = is_plain or isinstance(got, bool)  # "none" and "tied" where false and true stand
    if is_plain and likely is not None:
        note = f"write {toml_value(likely)}"
    message = f"{_subject(draft, path)} must {expected}, got {toml_value(got)}"
    return Finding(path, message, note, _help(kind, path, draft))


def _help(kind: str, path: KeyPath, draft: Draft) -> str:
    if path == ("model", "input"):
        return "write it as [C, H, W]: channels, height, width"
    if _EXPECTED.get(kind) == "be a table" and len(path) == 1 and draft.is_spec:
        return f"write [{path[0]}] on a line of its own, and the options below it"
    is_told = draft.is_layer(path) or kind in ("list_type", "control_character")
    return _HELP.get(kind, "") if is_told else ""


def _in_own_words(error: Mapping[str, Any], path: KeyPath, draft: Draft) -> Finding:
    """Explain an error that a component's own validator raised."""
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, OptionError):  # of a component that the validator makes
        error = {**error, "msg": "; ".join(problem.message for problem in cause.problems)}
    text, got = re.sub(r"\A(Value error|Assertion failed), ", "", error["msg"]), draft.at(path)
    if isinstance(got, dict):  # options that do not fit together: point at the one named first
        first = re.match(r"\w*", text)
        inner = (*path, first.group()) if first and first.group() in got else path
        return Finding(inner, draft.place(path) + text)
    return Finding(path, f"{_subject(draft, path)}: {text}", f"got {toml_value(got)}")


def _expected(error: Mapping[str, Any], path: KeyPath) -> str:
    """Return what the value must be, "" where only the message can tell."""
    kind, facts = error["type"], dict(error.get("ctx", {}))
    if kind == "string_pattern_mismatch" and path == ("name",):
        return _NAME
    if kind in ("too_long", "too_short") and facts.get("field_type") == "Tuple":
        return _PAIR
    if facts.get("pattern") == LAYER_NAME.pattern:
        return "be at most 40 letters, digits and underscores, a letter first"
    if kind not in _EXPECTED:
        text = error["msg"]
        return f"be {text.removeprefix('expected ')}" if text.startswith("expected ") else ""
    for bound in ("min", "max"):
        facts[f"{bound}_s"] = "s" * (facts.get(f"{bound}_length") != 1)
    if "expected" in facts:
        facts["expected"] = facts["expected"].replace("'", '"')
    return _EXPECTED[kind].format_map({name: _shown(value) for name, value in facts.items()})


def _parts(draft: Draft, path: KeyPath) -> str:
    """Return what an option with a fixed number of elements must be: not all are sides."""
    table = draft.table_of(path)
    cls, name = draft.class_at(table), path[len(table) : len(table) + 1]
    field = cls.model_fields.get(str(name[0])) if cls and name else None
    kind = field.annotation if field else None
    is_other = get_origin(kind) is tuple and kind != get_args(Pair)[0]
    return f"be an array of {len(get_args(kind))} elements" if is_other else _PAIR


def _shown(value: Any) -> Any:
    """Write a bound of 0.0 as people do: 0."""
    return f"{value:g}" if isinstance(value, float) else value


def _subject(draft: Draft, path: KeyPath) -> str:
    """Return "layer 1 (conv): kernel", or "layer 2" where the layer itself is wrong."""
    if draft.is_layer(path) or (path and draft.is_branch(path)):
        return draft.place(path).removesuffix(": ")
    table = draft.table_of(path)
    names = [str(step) for step in path[len(table) :] if isinstance(step, str)]
    return draft.place(table) + (names[-1] if names else "the spec")


_WORD = re.compile(r"""["']([\w-]+)["']""")
_WHOLE = ("int_type", "int_from_float", "tuple_type")  # the last of [height, width]
_SWITCHES = {"true": True, "yes": True, "on": True, 1: True,
             "false": False, "no": False, "off": False, 0: False}  # fmt: skip


def guess(error: Mapping[str, Any], got: Any) -> Any:
    """Return the value that was probably meant, or None.

    >>> guess({"type": "int_type"}, "3"), guess({"type": "greater_than"}, -2)
    (3, 2)
    """
    kind = error["type"]
    if kind == "bool_type" and isinstance(got, str | int):
        return _SWITCHES.get(got.lower() if isinstance(got, str) else got)
    if kind == "literal_error" and isinstance(got, bool):
        return _switched(_WORD.findall(error["ctx"]["expected"]), got)
    if isinstance(got, str):
        return _number(kind, got) if kind in (*_WHOLE, "float_type") else (
            suggested_word(error, got)
        )  # fmt: skip
    if isinstance(got, float) and kind in _WHOLE and got.is_integer():
        return int(got)
    if kind == "list_type" and isinstance(got, dict):
        numbered = got and all(str(key).isdecimal() for key in got)  # by --set metrics.0=accuracy
        return list(got.values()) if numbered else [got]
    is_negative = isinstance(got, int | float) and not isinstance(got, bool) and got < 0
    return -got if is_negative and math.isfinite(got) else None


def _switched(words: list[str], on: bool) -> str | None:
    """Return the word for on or off, where one of them, "none", switches something off."""
    return None if "none" not in words else words[0] if on else "none"


def suggested_word(error: Mapping[str, Any], got: Any) -> str | None:
    """Return the word of those the error lists that `got` resembles."""
    if not isinstance(got, str) or error["type"] == "string_pattern_mismatch":
        return None
    text = error.get("ctx", {}).get("expected") or error["msg"]
    return did_you_mean(got, _WORD.findall(text))


def _number(kind: str, text: str) -> int | float | None:
    if re.fullmatch(r"[+-]?\d{1,15}", text):
        return int(text)
    if kind == "float_type" and re.fullmatch(r"[+-]?\d{1,15}(\.\d{1,15})?(e[+-]?\d{1,2})?", text):
        return float(text)
    return None
