"""Turn a table or a bare type name inside a spec into the component it names."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from cnnkit.base.component import Component


class Lookup(Protocol):
    """What validation needs of a registry."""

    def find(self, family: str, name: str) -> type[Component]:
        """Return the class behind `name`, or raise PydanticCustomError("unknown_type")."""


class _BuiltIns:
    """The lookup used where no registry travels along: options given in Python."""

    def find(self, family: str, name: str) -> type[Component]:
        module = import_module(f"cnnkit.{family}")
        classes: list[type[Component]] = getattr(module, f"cnnkit_{family}")()
        for cls in classes:
            if cls.type_name() == name:
                return cls
        raise PydanticCustomError(
            "unknown_type",
            "no built-in type {name} in {family}; third-party types need a registry "
            "(cnnkit.load_spec) or the class itself",
            {"name": repr(name), "family": family},
        )


def resolver(family: str) -> Callable[[Any, ValidationInfo], Any]:
    """Return a validator that looks `type` up first and then validates that one class."""

    def resolve(value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Component):
            return value
        table = {"type": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            raise PydanticCustomError("component_type", "expected a table with a type, or a name")
        name = table.get("type")
        if not isinstance(name, str):
            raise PydanticCustomError("missing_type", "the table does not say which type it is")
        lookup: Lookup = (info.context or {}).get("registry") or _BuiltIns()
        cls = lookup.find(family, name)
        return cls.model_validate({**table, "type": cls.type_name()}, context=info.context)

    return resolve


def child(family: str) -> BeforeValidator:
    """Mark a field that holds a component: `Annotated[SerializeAsAny[Layer], child("layers")]`."""
    return BeforeValidator(resolver(family))
