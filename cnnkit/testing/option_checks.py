"""Checks of any component's options: what specs may say, and what they may not."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from cnnkit.base import Component
from cnnkit.testing.check import Check, check
from cnnkit.testing.components import built_ins
from cnnkit.testing.failure import Fault, require
from cnnkit.testing.options import literals, option_types, require_made_from, require_refused

_WRONG: tuple[tuple[Any, type], ...] = (("3", str), (True, bool), (2.5, float))
_ABSURD = (float("nan"), float("inf"), 10**30)
_KEEP_STRICT = "keep Component's model_config, and make each validator refuse what it cannot mean"


@check
def unknown_option_refused(component: Component, *_: Any) -> None:
    """An option nobody declared is refused: a typo in a spec must not train."""
    require_refused(component, "no_such_option", 1, 'leave extra="forbid" in model_config as it is')


@check
def wrong_option_type_refused(component: Component, *_: Any) -> None:
    """An option takes its own type only: "3" and true are not 3."""
    for name, kinds in option_types(component):
        named = literals(component, name)  # pydantic takes true for Literal[1], as true == 1
        for value, kind in _WRONG:
            if not kinds & {kind, Any, object} and value not in named:
                require_refused(component, name, value, _KEEP_STRICT)


@check
def absurd_numbers_refused(component: Component, *_: Any) -> None:
    """NaN, infinity and 10**30 are refused: TOML can say them, no option can mean them."""
    for name, kinds in option_types(component):
        numbers = _ABSURD if int in kinds else _ABSURD[:2]
        for value in numbers if kinds & {int, float} else ():
            fix = "bound it: Annotated[int, Field(ge=1, le=2**31)], and keep allow_inf_nan=False"
            require_refused(component, name, value, fix)


@check
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


@check
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


@check
def options_round_trip(component: Component, *_: Any) -> None:
    """Dumped options validate to an equal component."""
    options = component.model_dump()
    require_made_from(
        component, options, "its own model_dump()", "validators must accept what they return"
    )


@check
def options_come_from_toml(component: Component, *_: Any) -> None:
    """Every option can be written in TOML: lists, not tuples, and no null."""
    options = component.model_dump(mode="json", exclude_none=True)
    fix = "a tuple option needs a BeforeValidator that turns lists into tuples; see base.Pair"
    require_made_from(component, options, "its options as TOML holds them", fix)


@check
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


OPTION_CHECKS: tuple[Check, ...] = (
    type_is_legal,
    documented,
    unknown_option_refused,
    wrong_option_type_refused,
    absurd_numbers_refused,
    options_are_frozen,
    options_round_trip,
    options_come_from_toml,
)
