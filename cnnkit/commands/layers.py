"""`cnnkit layers`: the types that specs may name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import to_jsonable_python
from rich.text import Text

from cnnkit.base import Component
from cnnkit.commands._console import emit, emit_json, table
from cnnkit.commands._plugins import begin
from cnnkit.described import option_docs, own_doc
from cnnkit.errors import CnnkitError
from cnnkit.hookspecs import FAMILIES
from cnnkit.registry import Entry, Registry, blaming, complete

_HUGE = 2**31
"""A bound from here on guards the machine; it tells a reader nothing."""
_NUMBERS = {"integer": "int", "number": "float"}


def layers(type: str | None = None, /, *, family: str = "layers", json: bool = False) -> None:
    """List the types that specs may name, or explain one: what it does and every option.

    Args:
        type: a type such as conv; without it, all are listed.
        family: layers, losses, optimizers, schedules, initializers, datasets, transforms, metrics,
            observers, callbacks, backends.
        json: print one JSON document.
    """
    _, registry = begin()
    family = {cls.__name__.lower(): plural for plural, cls in FAMILIES.items()}.get(family, family)
    if family not in FAMILIES:
        from cnnkit.diagnosis.problems import did_you_mean

        meant = did_you_mean(family, FAMILIES)
        note = f'did you mean "{meant}"?' if meant else ""
        raise _unknown(f'family "{family}"', note, f"families are {', '.join(FAMILIES)}")
    if type is None:
        _list(sorted(registry.entries(family), key=lambda e: (e.type, e.owner)), family, json)
    else:
        _explain(_find(registry, family, type), json)


def _list(entries: list[Entry], family: str, json: bool) -> None:
    if json:
        emit_json([_facts(entry) for entry in entries])
        return
    made = table("type", "what it does", "from")
    for entry in entries:
        made.add_row(entry.type, own_doc(entry.cls).partition("\n")[0], entry.owner)
    here = "" if family == "layers" else f" --family {family}"
    others = ", ".join(other for other in FAMILIES if other != family)
    remark = f"\n`cnnkit layers TYPE{here}` explains one. `--family` lists others: {others}."
    emit(made, Text(remark))


def _explain(entry: Entry, json: bool) -> None:
    with blaming(entry):
        rows = option_rows(complete(entry))
    if json:
        emit_json(_facts(entry) | {"doc": own_doc(entry.cls), "options": list(map(asdict, rows))})
        return
    emit(f"{entry.type} ({entry.owner})\n\n{own_doc(entry.cls)}\n")
    made = table("option", "type", "default", "what it means")
    for row in rows:
        if row.name in entry.cls.common:
            continue
        default = "required" if row.default is None else row.default or "-"
        made.add_row(row.name, row.type, default, " ".join(row.description.split()))
    emit(made if made.row_count else "It has no options.")
    if common := [row.name for row in rows if row.name in entry.cls.common]:
        emit(f"\nEvery layer also takes {', '.join(common)}.")


def _find(registry: Registry, family: str, name: str) -> Entry:
    entry = registry.entry(family, name)
    if entry is not None:
        return entry
    from cnnkit.diagnosis.names import help_for_unknown_type

    word = FAMILIES[family].__name__.lower()
    elsewhere = next((f for f in FAMILIES if registry.claims(f, name)), None)
    if elsewhere is None:
        raise _unknown(f'{word} type "{name}"', *help_for_unknown_type(name, family, registry))
    raise CnnkitError(
        f'"{name}" is no {word} but one of the {elsewhere}\n'
        f"   = help: cnnkit layers {name} --family {elsewhere}"
    )


def _unknown(what: str, note: str, help_: str) -> CnnkitError:
    return CnnkitError(f"unknown {what}{f'; {note}' if note else ''}\n   = help: {help_}")


def _facts(entry: Entry) -> dict[str, Any]:
    summary = " ".join(own_doc(entry.cls).partition("\n\n")[0].split())
    return {"type": entry.type, "family": entry.family, "distribution": entry.distribution,
            "version": entry.version, "summary": summary}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One option: `type` in words with its range; `default` as TOML has it, None if required."""

    name: str
    type: str
    default: str | None
    description: str


def option_rows(cls: type[Component]) -> list[OptionRow]:
    """Return a row for every option of a component, in the order of its class; those that all of
    its family have come last."""
    properties = cls.model_json_schema()["properties"]
    return [
        OptionRow(name, in_words(properties[name]), _default(cls, name), text)
        for name, text in option_docs(cls).items()
    ]


def _default(cls: type[Component], name: str) -> str | None:
    field = cls.model_fields[name]
    if field.is_required():
        return None
    value = to_jsonable_python(field.get_default(call_default_factory=True))
    return "" if value is None else json.dumps(value)


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
    lower, least = (low, ">=") if low is not None else (above, ">")
    upper, most = (below, "<") if below is not None else (high, "<=")
    if upper is None or upper >= _HUGE:
        return kind if lower is None else f"{kind} {least} {lower:g}"
    if lower is None:
        return f"{kind} {most} {upper:g}"
    return f"{lower:g} {least.replace('>', '<')} {kind} {most} {upper:g}"
