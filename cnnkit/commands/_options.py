"""A component's options, each as one row of a table: what may be written, and what it means."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from cnnkit.base import Component

_HUGE = 2**31
"""A bound from here on guards the machine; it tells a reader nothing."""
_NUMBERS = {"integer": "int", "number": "float"}


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One option: `type` in words with its range; `default` as TOML has it, None if required."""

    name: str
    type: str
    default: str | None
    description: str


def option_rows(cls: type[Component]) -> list[OptionRow]:
    """Return a row for every option of a component, in the order of its class."""
    properties = cls.model_json_schema()["properties"]
    return [
        OptionRow(name, in_words(properties[name]), _default(cls, name), text)
        for name, text in cls.option_docs().items()
    ]


def in_words(schema: dict[str, Any]) -> str:
    """Say in few words what a JSON Schema allows.

    >>> in_words({"type": "number", "minimum": 0, "exclusiveMaximum": 1})
    '0 <= float < 1'
    >>> in_words({"anyOf": [{"enum": ["same"]}, {"type": "integer", "minimum": 1}]})
    '"same" | int >= 1'
    """
    match schema:
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2].lower()
        case {"enum": list(values)}:
            return " | ".join(json.dumps(value) for value in values)
        case {"const": value}:
            return json.dumps(value)
        case {"anyOf": list(choices)}:
            return " | ".join(in_words(c) for c in choices if c.get("type") != "null")
        case {"type": "array"}:
            return _array(schema)
        case {"type": ("integer" | "number") as kind}:
            return _number(_NUMBERS[kind], schema)
        case {"type": "boolean"}:
            return "true | false"
    return str(schema.get("type", "anything"))


def _array(schema: dict[str, Any]) -> str:
    """Say "[int, int]" or "[layer, ...]"; ranges inside are for the description to tell."""
    items, count = schema.get("items", {}), schema.get("maxItems", -1)
    inner = schema.get("prefixItems") or (
        [items] * count if count == schema.get("minItems") else []
    )
    words = [_NUMBERS.get(item.get("type"), in_words(item)) for item in inner or [items]]
    return f"[{', '.join(words)}]" if inner else f"[{words[0]}, ...]"


def _number(kind: str, schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if kind == "int" and above is not None:
        low, above = above + 1, None
    lower = (low, ">=") if low is not None else (above, ">")
    upper = (below, "<") if below is not None else (high, "<=")
    if upper[0] is None or upper[0] >= _HUGE:
        return kind if lower[0] is None else f"{kind} {lower[1]} {lower[0]:g}"
    if lower[0] is None:
        return f"{kind} {upper[1]} {upper[0]:g}"
    return f"{lower[0]:g} {lower[1].replace('>', '<')} {kind} {upper[1]} {upper[0]:g}"


def _default(cls: type[Component], name: str) -> str | None:
    field = cls.model_fields[name]
    if field.is_required():
        return None
    value = to_jsonable_python(field.get_default(call_default_factory=True))
    return "" if value is None else json.dumps(value)
