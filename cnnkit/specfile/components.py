"""Components: a walk through the plain tables of a spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from cnnkit.base.component import Slot, slots
from cnnkit.base.place import KeyPath
from cnnkit.registry import Registry
from cnnkit.specfile.runspec import RunSpec

_Place = tuple[KeyPath, Any, type[BaseModel] | None, str]


def components(tree: dict[str, Any], registry: Registry) -> Iterator[_Place]:
    """Yield the path of each component and section, what holds it, its class and its family."""
    for name, slot in slots(RunSpec).items():
        if name in tree:
            yield from _inside(tree, (name,), slot, registry)


def _inside(holder: Any, path: KeyPath, slot: Slot, registry: Registry) -> Iterator[_Place]:
    value = holder[path[-1]]
    if slot.many:
        for index in range(len(value) if isinstance(value, list) else 0):
            yield from _inside(value, (*path, index), slot._replace(many=slot.many - 1), registry)
        return
    kind = value.get("type") if isinstance(value, dict) else value
    try:
        cls = slot.section or (registry.find(slot.family, kind) if isinstance(kind, str) else None)
    except PydanticCustomError:
        cls = None
    yield path, holder, cls, slot.family
    value = holder[path[-1]]
    for name, inner in slots(cls).items() if cls and isinstance(value, dict) else ():
        if name in value:
            yield from _inside(value, (*path, name), inner, registry)
