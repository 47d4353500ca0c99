"""The resolved spec: every default written out, so that no later default can change a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel

from cnnkit.base import Component
from cnnkit.base.options import SPEC_PATH
from cnnkit.registry import Registry
from cnnkit.spec.runspec import RunSpec


def resolved_toml(spec: RunSpec) -> str:
    """Return TOML text that means what `spec` means, in any folder and whatever is installed.

    Paths become absolute, and types of plugins are qualified as "dist:type".
    """
    return tomli_w.dumps(plain(spec, spec.registry, spec.source.folder))


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
    found: dict[str, str] = {}
    _collect(value, registry, found)
    return dict(sorted(found.items()))


def _collect(value: Any, registry: Registry, found: dict[str, str]) -> None:
    if isinstance(value, Component):
        entry = registry.entry_of(type(value))
        if entry is not None:
            found[f"{entry.family}/{type_of(value, registry)}"] = entry.owner
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            _collect(getattr(value, name), registry, found)
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(item, registry, found)
