"""Checks of any component's options: what specs may say, and what they may not."""

from __future__ import annotations

import re
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from cnnkit.base import Component
from cnnkit.base.component import walk
from cnnkit.described import option_docs
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.tools import built_ins

kit = Kit("options")

Of = TypeVar("Of", bound=Component)
_WRONG: tuple[tuple[Any, type], ...] = (("3", str), (True, bool), (2.5, float))
_ABSURD = (float("nan"), float("inf"), 10**30)


@kit.check('declare it as `type: Literal["my_name"] = "my_name"`')
def type_is_legal(component: Component, *_: Any) -> None:
    """The type is one snake_case word of its own, declared as `type: Literal["x"] = "x"`."""
    cls, name = type(component), type(component).type_name()
    require(
        bool(re.fullmatch(r"[a-z][a-z0-9_]*", name)) and name == component.type,
        f"{cls.__name__} has no legal type name",
        expected='lower-case letters, digits and "_", a letter first',
        got=repr(name),
    )
    owner = built_ins(cls.family).get(name, cls)
    require(
        owner is cls,
        f"type {name!r} belongs to a built-in",
        expected=f"a name that no type in {cls.family} has",
        got=f"the name of {owner.__module__}.{owner.__name__}",
        fix="choose another name; a spec's meaning must not depend on what is installed",
    )


@kit.check("write it under the class line")
def documented(component: Component, *_: Any) -> None:
    """The class and every option have a docstring: they are the help, schema and README."""
    cls = type(component)
    what = f"{cls.__name__} has no docstring"
    expected = "what it does, in one line, then its formula"
    require(bool((vars(cls).get("__doc__") or "").strip()), what, expected=expected, got="nothing")
    for name, text in option_docs(cls).items():
        require(
            bool(text.strip()),
            f"option {name!r} is not described",
            expected="a docstring under the field",
            got="nothing",
            fix=f'write """What it means, with its unit.""" on the line below `{name}: ...`',
        )


@kit.check('leave extra="forbid" in model_config as it is')
def unknown_option_refused(component: Component, *_: Any) -> None:
    """An option nobody declared is refused: a typo in a spec must not train."""
    require_refused(component, "no_such_option", 1)


@kit.check("keep Component's model_config, and make each validator refuse what it cannot mean")
def wrong_option_type_refused(component: Component, *_: Any) -> None:
    """An option takes its own type only: "3" and true are not 3."""
    for name, field in type(component).model_fields.items():
        leaves = _leaves(field.annotation)
        for value, kind in _WRONG:  # pydantic takes true for Literal[1], as true == 1
            if not any(leaf in (kind, Any, object, value) for leaf in leaves):
                require_refused(component, name, value)


@kit.check("bound it: Annotated[int, Field(ge=1, le=2**31)], and keep allow_inf_nan=False")
def absurd_numbers_refused(component: Component, *_: Any) -> None:
    """NaN, infinity and 10**30 are refused: TOML can say them, no option can mean them."""
    for name, field in type(component).model_fields.items():
        leaves = _leaves(field.annotation)
        numbers = _ABSURD if int in leaves else _ABSURD[:2] if float in leaves else ()
        for value in numbers:
            require_refused(component, name, value)


@kit.check("leave frozen=True in model_config as it is")
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
        )


@kit.check("validators must accept what they return")
def options_round_trip(component: Component, *_: Any) -> None:
    """Dumped options validate to an equal component."""
    require_made_from(component, component.model_dump(), "its own model_dump()")


@kit.check("a tuple option needs a BeforeValidator that turns lists into tuples; see base.Pair")
def options_come_from_toml(component: Component, *_: Any) -> None:
    """Every option can be written in TOML: lists, not tuples, and no null."""
    options = component.model_dump(mode="json", exclude_none=True)
    require_made_from(component, options, "its options as TOML holds them")


def require_refused(component: Component, option: str, value: Any) -> None:
    """Demand that the component with this option set to `value` does not validate."""
    try:
        remade(component, {**component.model_dump(), option: value})
    except ValidationError:
        return
    what = f"option {option} = {value!r} is accepted"
    raise Fault(what, expected="an error", got="none")


def require_made_from(component: Component, options: dict[str, Any], source: str) -> None:
    """Demand that `options` validate to an equal component."""
    try:
        again: object = remade(component, options)
    except ValidationError as error:
        again = error
    what, is_same = f"cannot be made from {source}", again == component
    require(is_same, what, expected=repr(component), got=str(again))


def remade(component: Of, options: dict[str, Any]) -> Of:
    """Return what the component's class makes of `options`, where types are known that it uses."""
    return type(component).model_validate(options, context={"registry": _Known(component)})


class _Known:
    """A registry of the built-in types and those that a given component is made of."""

    def __init__(self, component: Component) -> None:
        self._classes = {(c.family, c.type): type(c) for _, c in walk(component)}

    def find(self, family: str, name: str) -> type[Component]:
        known = self._classes.get((family, name)) or built_ins(family).get(name)
        if known is None:
            raise ValueError(f"no type {name}")
        return known


def _leaves(annotation: Any) -> list[Any]:
    """Return what an annotation is made of: plain types, and the values that a Literal names."""
    arguments = get_args(annotation)
    return [leaf for argument in arguments for leaf in _leaves(argument)] or [annotation]
