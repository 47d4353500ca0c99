"""Bugs in what a layer declares: its type, options and documentation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from planted import Gain, planted
from pydantic import BeforeValidator, ConfigDict, Field


@planted("type_is_legal")
class Shouting(Gain):
    """Type name with capitals and a dash."""

    type: Literal["My-Gain"] = "My-Gain"


@planted("type_is_legal")
class Usurper(Gain):
    """Type name of a built-in."""

    type: Literal["relu"] = "relu"


@planted("documented")
class NoDocstring(Gain):
    type: Literal["no_docstring"] = "no_docstring"


@planted("documented")
class SecretOption(Gain):
    """An option without a description."""

    type: Literal["secret_option"] = "secret_option"
    secret: bool = False


@planted("unknown_option_refused")
class Permissive(Gain):
    """extra = "allow": typos pass."""

    model_config = ConfigDict(extra="allow")
    type: Literal["permissive"] = "permissive"


@planted("unknown_option_refused")
class Forgetful(Gain):
    """extra = "ignore": typos are dropped in silence."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["forgetful"] = "forgetful"


@planted("wrong_option_type_refused")
class Lax(Gain):
    """strict = False: "3" passes for 3."""

    model_config = ConfigDict(strict=False)
    type: Literal["lax"] = "lax"


@planted("wrong_option_type_refused")
class Converting(Gain):
    """A validator that turns true into 1."""

    type: Literal["converting"] = "converting"
    count: Annotated[int, BeforeValidator(int), Field(ge=0, le=9)] = 1
    """How many."""


def _digits(value: Any) -> Any:
    return str(value) if isinstance(value, int) else value


@planted("wrong_option_type_refused")
class Stringing(Gain):
    """Words that are digits, and a validator that turns true into one of them."""

    type: Literal["stringing"] = "stringing"
    order: Annotated[Literal["1", "3", "True"], BeforeValidator(_digits)] = "1"
    """Order, as a word."""


@planted("absurd_numbers_refused")
class Boundless(Gain):
    """A count without an upper limit."""

    type: Literal["boundless"] = "boundless"
    count: Annotated[int, Field(ge=0)] = 1
    """How many."""


@planted("absurd_numbers_refused")
class Infinite(Gain):
    """allow_inf_nan = True: NaN becomes an option."""

    model_config = ConfigDict(allow_inf_nan=True)
    type: Literal["infinite"] = "infinite"
    slope: float = 0.5
    """Slope."""


@planted("options_are_frozen")
class Mutable(Gain):
    """frozen = False: options may change while threads run."""

    model_config = ConfigDict(frozen=False)
    type: Literal["mutable"] = "mutable"


def _percent(value: Any) -> Any:
    return value / 100 if isinstance(value, float) and value > 0.2 else value


@planted("options_round_trip")
class Drifting(Gain):
    """A validator that changes its own result."""

    type: Literal["drifting"] = "drifting"
    rate: Annotated[float, BeforeValidator(_percent), Field(ge=0, le=1)] = 25.0
    """Rate in percent."""


@planted("options_come_from_toml")
class Tupled(Gain):
    """A tuple option, which TOML's lists cannot fill."""

    type: Literal["tupled"] = "tupled"
    sides: tuple[Literal["left", "right"], ...] = ("left",)
    """Which sides."""
