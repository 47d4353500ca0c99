"""The resolved spec: every default written out, so that no later default can change a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import tomli
import tomli_w
from pydantic import BaseModel, ValidationError

from cnnkit.base import Component
from cnnkit.base.component import walk
from cnnkit.provenance import plain
from cnnkit.registry import Registry
from cnnkit.source import Finding
from cnnkit.specfile.runspec import RunSpec


def resolved_toml(spec: RunSpec) -> str:
    """Return TOML text that means what `spec` means, in any folder and whatever is installed.

    Paths become absolute, and types of plugins are qualified as "dist:type".
    """
    return tomli_w.dumps(plain(spec, spec.registry, spec.source.folder))


def check_storable(spec: BaseModel, tree: Any, registry: Registry) -> list[Finding]:
    """Return a finding for each option of a plugin's component that would be lost."""
    findings = []
    for path, component in walk(spec):
        entry = registry.entry_of(type(component))
        if entry is None or entry.built_in:
            continue
        for option, reason in _lost(component, registry):
            from cnnkit.diagnosis.source import Draft

            draft = Draft(RunSpec, tree, registry)
            findings.append(
                Finding(
                    (*path, option),
                    f'{draft.place(draft.real_path(path))}the option "{option}" of {entry.type} of '
                    f"{entry.owner} cannot be kept in a run: {reason}",
                    help="options are strings, numbers, true, false, arrays and tables of these; "
                    "only the plugin's author can mend it",
                    at="key",
                )
            )
    return findings


def _lost(component: Component, registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield each option that does not come back as it was, and why."""
    options = plain(component, registry)
    lost = {name: reason for name, v in options.items() if (reason := _unwritable(v))}
    yield from lost.items()
    if lost:
        return
    try:
        again = type(component).model_validate(
            {**options, "type": component.type}, context={"registry": registry}
        )
    except ValidationError as error:
        for first in error.errors(include_url=False):
            yield str(first["loc"][0] if first["loc"] else "type"), f"read back, {first['msg']}"
        return
    for name, value in plain(again, registry).items():
        if value != options.get(name):
            yield name, f"{options.get(name)!r} is read back as {value!r}"


def _unwritable(value: Any) -> str:
    """Return why TOML or JSON cannot hold a value, or ""."""
    try:
        toml = tomli.loads(tomli_w.dumps({"value": value}))["value"]
        same = toml == value and json.loads(json.dumps(value)) == value
    except Exception as error:  # whatever a plugin's objects do
        return f"{type(error).__name__}: {error}"
    return "" if same else f"{value!r} is not read back as it was"
