"""`cnnkit layers`: the types that specs may name."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

from rich.text import Text

from cnnkit.base.component import without_examples
from cnnkit.commands._console import News, emit, emit_json, table
from cnnkit.commands._options import option_rows
from cnnkit.commands._plugins import warn_of_broken
from cnnkit.errors import CnnkitError
from cnnkit.hookspecs import FAMILIES
from cnnkit.plugins import load_plugins
from cnnkit.registry import Entry, Registry, blaming, complete
from cnnkit.spec.missing import help_for_unknown_type
from cnnkit.spec.problems import did_you_mean


def layers(type: str | None = None, /, *, family: str = "layers", json: bool = False) -> None:
    """List the types that specs may name, or explain one: what it does and every option.

    Args:
        type: a type such as conv; without it, all are listed.
        family: layers, losses, optimizers, schedules, initializers, datasets, transforms, metrics,
            observers.
        json: print one JSON document.
    """
    registry = load_plugins()
    warn_of_broken(registry, News())
    family = {cls.__name__.lower(): plural for plural, cls in FAMILIES.items()}.get(family, family)
    if family not in FAMILIES:
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
        made.add_row(entry.type, _summary(entry), entry.owner)
    emit(made)
    here = "" if family == "layers" else f" --family {family}"
    others = ", ".join(other for other in FAMILIES if other != family)
    emit(Text(f"\n`cnnkit layers TYPE{here}` explains one. `--family` lists others: {others}."))


def _explain(entry: Entry, json: bool) -> None:
    with blaming(entry):
        rows = option_rows(complete(entry))
    if json:
        emit_json(_facts(entry) | {"doc": _doc(entry), "options": [asdict(row) for row in rows]})
        return
    emit(f"{entry.type} ({entry.owner})\n\n{_doc(entry)}\n")
    if not rows:
        emit("It has no options.")
        return
    made = table("option", "type", "default", "what it means")
    for row in rows:
        default = "required" if row.default is None else row.default or "-"
        made.add_row(row.name, row.type, default, " ".join(row.description.split()))
    emit(made)


def _find(registry: Registry, family: str, name: str) -> Entry:
    entry = registry.entry(family, name)
    if entry is not None:
        return entry
    word = FAMILIES[family].__name__.lower()
    elsewhere = next((f for f in FAMILIES if registry.claims(f, name)), None)
    if elsewhere is not None:
        raise CnnkitError(
            f'"{name}" is no {word} but one of the {elsewhere}\n'
            f"   = help: cnnkit layers {name} --family {elsewhere}"
        )
    raise _unknown(f'{word} type "{name}"', *help_for_unknown_type(name, family, registry))


def _unknown(what: str, note: str, help_: str) -> CnnkitError:
    return CnnkitError(f"unknown {what}{f'; {note}' if note else ''}\n   = help: {help_}")


def _facts(entry: Entry) -> dict[str, Any]:
    return {
        "type": entry.type,
        "family": entry.family,
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": _summary(entry),
    }


def _doc(entry: Entry) -> str:
    return without_examples(inspect.cleandoc(entry.cls.__doc__ or ""))


def _summary(entry: Entry) -> str:
    return _doc(entry).partition("\n")[0]
