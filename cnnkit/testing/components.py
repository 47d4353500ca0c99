"""Walk over a component and the components among its options."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from pydantic_core import PydanticCustomError

from cnnkit.base import Component, Layer


def nested(value: Any) -> Iterator[Component]:
    """Yield every component in `value`, itself first, children after their parents."""
    if isinstance(value, Component):
        yield value
        for name in type(value).model_fields:
            yield from nested(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from nested(item)


def layers_in(layer: Layer) -> list[Layer]:
    """Return the layer and all layers inside it."""
    return [inner for inner in nested(layer) if isinstance(inner, Layer)]


def buffer_names(layer: Layer) -> frozenset[str]:
    """Return the names of weights without gradient, the layers inside included."""
    return frozenset().union(*(inner.buffers for inner in layers_in(layer)))


def couples_batch(layer: Layer) -> bool:
    """Return whether samples of a batch meet anywhere in the layer."""
    return any(inner.couples_batch for inner in layers_in(layer))


def built_ins(family: str) -> dict[str, type[Component]]:
    """Return `{type: class}` of what cnnkit itself brings in `family`."""
    hook = getattr(import_module(f"cnnkit.{family}"), f"cnnkit_{family}")
    return {cls.type_name(): cls for cls in hook()}


class Known:
    """A registry of the built-in types and those that a given component is made of."""

    def __init__(self, component: Component) -> None:
        self._classes = {(c.family, c.type): type(c) for c in nested(component)}

    def find(self, family: str, name: str) -> type[Component]:
        """Return the class behind `name`, or raise PydanticCustomError("unknown_type")."""
        known = self._classes.get((family, name)) or built_ins(family).get(name)
        if known is None:
            raise PydanticCustomError("unknown_type", "no type {name}", {"name": name})
        return known
