"""The distributions behind the types of a saved run, held against what is installed now."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cnnkit.base import Component
from cnnkit.base.component import SPEC_PATH, walk
from cnnkit.hookspecs import FAMILIES
from cnnkit.registry import Entry, Plugin, Registry


def missing_suppliers(
    made_with: Mapping[str, Any], registry: Registry, families: Collection[str] = FAMILIES.keys()
) -> list[str]:
    """Return a sentence for each type that cannot be had from the distribution it came from.

    Args:
        made_with: what `suppliers` returned then; it may come from a file, so it may be anything.
        families: those that matter.
    """
    return [
        f"{_what(family, name)} came from {owner}, {_state(registry.installed(owner_name), owner)}"
        for family, name, owner, owner_name in _types(made_with, families)
        if _entry(registry, family, name, owner_name) is None
    ]


def other_versions(
    made_with: Mapping[str, Any], registry: Registry, families: Collection[str] = FAMILIES.keys()
) -> list[str]:
    """Return a sentence for each third-party type that another version supplies now."""
    found = []
    for family, name, owner, owner_name in _types(made_with, families):
        entry = _entry(registry, family, name, owner_name)
        if entry is not None and not entry.built_in and entry.owner != owner:
            found.append(
                f"{_what(family, name)} came from {owner}, but {entry.owner} is installed: "
                "results may differ"
            )
    return found


def _types(
    made_with: Mapping[str, Any], families: Collection[str]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield family, type, owner with version, and owner."""
    for used, owner in made_with.items():
        family, _, name = used.partition("/")
        if isinstance(owner, str) and family in families:
            yield family, name.rpartition(":")[2], owner, owner.partition(" ")[0]


def _entry(registry: Registry, family: str, name: str, distribution: str) -> Entry | None:
    return next(iter(registry.claims(family, f"{distribution}:{name}")), None)


def _what(family: str, name: str) -> str:
    return f"{FAMILIES[family].__name__.lower()} type {name!r}"


def _state(plugins: list[Plugin], owner: str) -> str:
    """Say why none of a distribution's plugins supplies a type."""
    if not plugins:
        return f'which is not installed: pip install "{owner.replace(" ", "==")}"'
    defect = next((plugin.defect for plugin in plugins if plugin.defect), "")
    offers = f"but {plugins[0].owner} is installed, which does not offer it"
    return f"which {defect}" if defect else offers


def plain(value: Any, registry: Registry, folder: Path = Path()) -> Any:
    """Return options as plain data, with every default, that means the same in any folder."""
    if isinstance(value, BaseModel):
        options = {name: getattr(value, name) for name in type(value).model_fields}
        for name, field in type(value).model_fields.items():
            if SPEC_PATH in field.metadata and options[name] is not None:
                options[name] = str(folder / options[name])
        given = {name: plain(v, registry, folder) for name, v in options.items() if v is not None}
        if isinstance(value, Component):
            given["type"] = type_of(value, registry)
        return given
    if isinstance(value, list | tuple):
        return [plain(item, registry, folder) for item in value]
    return value


def type_of(component: Component, registry: Registry) -> str:
    """Return the name that finds the component's class again, qualified unless built in."""
    entry = registry.entry_of(type(component))
    return component.type if entry is None or entry.built_in else entry.qualified


def suppliers(value: Any, registry: Registry) -> dict[str, str]:
    """Return the distribution and version behind every type in a spec, or in components.

    As in a resolved spec, only built-in types go by their bare names: `{"layers/relu": "cnnkit
    0.1.0", "layers/cnnkit-prelu:prelu": "cnnkit-prelu 0.1.0"}`.
    """
    entries = [(component, registry.entry_of(type(component))) for _, component in walk(value)]
    found = {f"{e.family}/{type_of(c, registry)}": e.owner for c, e in entries if e}
    return dict(sorted(found.items()))
