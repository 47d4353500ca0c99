"""Checks of any component's options: what specs may say, and what they may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from cnnkit.base import Component
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.tools import Known, built_ins

kit = Kit("options")

_WRONG: tuple[tuple[Any, type], ...] = (("3", str), (True, bool), (2.5, float))
_ABSURD = (float("nan"), float("inf"), 10**30)
_KEEP_STRICT = "keep Component's model_config, and make each validator refuse what it cannot mean"


@kit.check
def type_is_legal(component: Component, *_: Any) -> None:
    """The type is one snake_case word of its own, declared as `type: Literal["x"] = "x"`."""
    cls, name = type(component), type(component).type_name()
    require(
        bool(re.fullmatch(r"[a-z][a-z0-9_]*", name)) and name == component.type,
        f"{cls.__name__} has no legal type name",
        expected='lower-case letters, digits and "_", a letter first',
        got=repr(name),
        fix='declare it as `type: Literal["my_name"] = "my_name"`',
    )
    owner = built_ins(cls.family).get(name, cls)
    require(
        owner is cls,
        f"type {name!r} belongs to a built-in",
        expected=f"a name that no type in {cls.family} has",
        got=f"the name of {owner.__module__}.{owner.__name__}",
        fix="choose another name; a spec's meaning must not depend on what is installed",
    )


@kit.check
def documented(component: Component, *_: Any) -> None:
    """The class and every option have a docstring: they are the help, schema and README."""
    cls = type(component)
    require(
        bool((vars(cls).get("__doc__") or "").strip()),
        f"{cls.__name__} has no docstring",
        expected="what it does, in one line, then its formula",
        got="nothing",
        fix="write it under the class line",
    )
    for name, text in cls.option_docs().items():
        require(
            bool(text.strip()),
            f"option {name!r} is not described",
            expected="a docstring under the field",
            got="nothing",
            fix=f'write """What it means, with its unit.""" on the line below `{name}: ...`',
        )


@kit.check
def unknown_option_refused(component: Component, *_: Any) -> None:
    """An option nobody declared is refused: a typo in a spec must not train."""
    require_refused(component, "no_such_option", 1, 'leave extra="forbid" in model_config as it is')


@kit.check
def wrong_option_type_refused(component: Component, *_: Any) -> None:
    """An option takes its own type only: "3" and true are not 3."""
    for name, kinds in option_types(component):
        named = literals(component, name)  # pydantic takes true for Literal[1], as true == 1
        for value, kind in _WRONG:
            if not kinds & {kind, Any, object} and value not in named:
                require_refused(component, name, value, _KEEP_STRICT)


@kit.check
def absurd_numbers_refused(component: Component, *_: Any) -> None:
    """NaN, infinity and 10**30 are refused: TOML can say them, no option can mean them."""
    for name, kinds in option_types(component):
        numbers = _ABSURD if int in kinds else _ABSURD[:2]
        for value in numbers if kinds & {int, float} else ():
            fix = "bound it: Annotated[int, Field(ge=1, le=2**31)], and keep allow_inf_nan=False"
            require_refused(component, name, value, fix)


@kit.check
def options_are_frozen(component: Component, *_: Any) -> None:
    """Options cannot change after validation, so a component can be shared by threads."""
    for name in type(component).model_fields:
        value = getattr(component, name)
        try:
            setattr(component, name, value)
        except ValidationError:
            continue
        raise Fault(
            f"option {name!r} can be set after validation",
            expected="a frozen model",
            got=f"component.{name} = {value!r} was accepted",
            fix="leave frozen=True in model_config as it is",
        )


@kit.check
def options_round_trip(component: Component, *_: Any) -> None:
    """Dumped options validate to an equal component."""
    options = component.model_dump()
    require_made_from(
        component, options, "its own model_dump()", "validators must accept what they return"
    )


@kit.check
def options_come_from_toml(component: Component, *_: Any) -> None:
    """Every option can be written in TOML: lists, not tuples, and no null."""
    options = component.model_dump(mode="json", exclude_none=True)
    fix = "a tuple option needs a BeforeValidator that turns lists into tuples; see base.Pair"
    require_made_from(component, options, "its options as TOML holds them", fix)


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
