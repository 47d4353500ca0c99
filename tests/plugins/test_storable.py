"""Options of plugins that a run could not keep are refused when the spec is read."""

from __future__ import annotations

import pytest

import cnnkit
from cnnkit.errors import SpecError
from cnnkit.plugins import load_plugins

CODE = '''
import datetime, decimal, enum, pathlib
from typing import Annotated, Literal
from pydantic import AfterValidator, BaseModel, Field
from cnnkit import hookimpl
from cnnkit.base import Layer, Pair

class Way(enum.Enum):
    UP = "up"

class Odd(Layer):
    """A layer that does nothing."""
    type: Literal["odd"] = "odd"
    {option}

    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {{}})

@hookimpl
def cnnkit_layers():
    return [Odd]
'''

LOST = {
    "way: Way = Way.UP": (
        "way",
        "TypeError: Object of type 'Way' is not TOML serializable",
    ),
    "way: pathlib.Path = pathlib.Path('x')": ("way", "TypeError: Object of type"),
    "way: frozenset[int] = frozenset([1])": ("way", "TypeError: Object of type"),
    "way: bytes = b'x'": ("way", "TypeError: Object of type"),
    "way: datetime.date = datetime.date(2020, 1, 2)": ("way", "TypeError: Object of type date"),
    "way: decimal.Decimal = decimal.Decimal('0.5')": ("way", "TypeError: Object of type Decimal"),
    "way: dict[int, int] = {1: 2}": ("way", "TypeError: "),
    "way: tuple[int, str] = (1, 'a')": ("way", "read back, Input should be a valid tuple"),
    "way: Annotated[int, AfterValidator(lambda n: n + 1)] = 3": ("way", "4 is read back as 5"),
}
KEPT = [
    "way: Pair = (3, 3)",
    "way: list[Pair] = [(1, 2)]",
    "way: dict[str, list[float]] = {'a': [0.1]}",
    "way: int | None = None",
    "way: str = 'x'",
]


@pytest.mark.parametrize("option", LOST)
def test_what_a_run_would_lose(option, site, write_spec):
    site.install("cnnkit-odd", CODE.format(option=option))
    name, reason = LOST[option]
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec('"odd",'))
    (problem,) = caught.value.problems
    assert problem.line == 11
    said = (
        f'layer 2 (odd): the option "{name}" of odd of cnnkit-odd 1.0 cannot be kept in a run: '
        f"{reason}"
    )
    assert problem.message.startswith(said)
    assert problem.help == (
        "options are strings, numbers, true, false, arrays and tables of these; only the plugin's "
        "author can mend it"
    )


@pytest.mark.parametrize("option", KEPT)
def test_what_is_kept(option, site, write_spec):
    site.install("cnnkit-odd", CODE.format(option=option))
    assert cnnkit.load_spec(write_spec('"odd",')).model.layers[1].type == "odd"


def test_a_default_deep_in_a_component_is_found(site, write_spec):
    site.install("cnnkit-odd", CODE.format(option="way: bytes = b'x'"))
    with pytest.raises(SpecError, match=r"layer 2 .* layer 1 \(odd\): the option"):
        cnnkit.load_spec(write_spec('{ type = "residual", body = ["odd"] },'))


def test_an_option_of_two_names(site):
    site.install("cnnkit-odd", CODE.format(option='way: int = Field(1, alias="path")'))
    (plugin,) = load_plugins().broken()
    assert plugin.error == (
        "cnnkit_layers: option 'way' of Odd has an alias; options go by one name, their field's"
    )
