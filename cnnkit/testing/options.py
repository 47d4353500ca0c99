"""What the checks of options share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from cnnkit.base import Component
from cnnkit.testing.components import Known
from cnnkit.testing.failure import Fault, require


def require_refused(component: Component, option: str, value: Any, fix: str) -> None:
    """Demand that the component with this option set to `value` does not validate."""
    options = {**component.model_dump(), option: value}
    try:
        type(component).model_validate(options, context={"registry": Known(component)})
    except ValidationError:
        return
    raise Fault(
        f"option {option} = {value!r} is accepted", expected="an error", got="none", fix=fix
    )


def require_made_from(component: Component, options: dict[str, Any], source: str, fix: str) -> None:
    """Demand that `options` validate to an equal component."""
    context = {"registry": Known(component)}
    try:
        again: object = type(component).model_validate(options, context=context)
    except ValidationError as error:
        again = error
    require(
        again == component,
        f"cannot be made from {source}",
        expected=repr(component),
        got=str(again),
        fix=fix,
    )


def option_types(component: Component) -> Iterator[tuple[str, set[Any]]]:
    """Yield every option with the plain types its annotation is made of."""
    for name, field in type(component).model_fields.items():
        yield name, set(_atoms(field.annotation))


def literals(component: Component, option: str) -> list[Any]:
    """Return the values that a `Literal` in the option's annotation names."""
    return list(_literals(type(component).model_fields[option].annotation))


def _literals(annotation: Any) -> Iterator[Any]:
    for argument in get_args(annotation):
        if get_origin(annotation) is Literal:
            yield argument
        else:
            yield from _literals(argument)


def _atoms(annotation: Any) -> Iterator[Any]:
    arguments = get_args(annotation)
    for argument in arguments:
        yield from _atoms(argument)
    if not arguments and isinstance(annotation, type):
        yield annotation
