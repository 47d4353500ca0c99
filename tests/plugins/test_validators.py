"""What validators and defaults of plugins do wrong is said in their words; their owner is named."""

from __future__ import annotations

import pytest

import cnnkit
from cnnkit.errors import SpecError
from cnnkit.plugins import load_plugins

CODE = '''
from typing import Annotated, Literal
from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError
from cnnkit import hookimpl
from cnnkit.base import Layer

def refuse(value):
    raise PydanticCustomError("{kind}", "boo")

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
KINDS = [
    "greater_than", "unknown_type", "type_clash", "literal_error", "too_short", "too_long",
    "missing", "extra_forbidden", "missing_type", "string_pattern_mismatch", "multiple_of", "new",
]  # fmt: skip


def problems(site, write_spec, layer: str, option: str, kind: str = ""):
    site.install("cnnkit-odd", CODE.format(kind=kind, option=option))
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec(layer))
    return caught.value.problems


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_a_validator_borrows(kind, site, write_spec):
    option = "way: Annotated[int, AfterValidator(refuse)] = 1"
    (problem,) = problems(site, write_spec, '{ type = "odd", way = 7 },', option, kind)
    assert (problem.message, problem.note) == ("layer 2 (odd): way: boo", "got 7")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_a_whole_component_borrows(kind, site, write_spec):
    option = "way: int = 1\n    refuse_ = model_validator(mode='after')(refuse)"
    (problem,) = problems(site, write_spec, '{ type = "odd", way = 7 },', option, kind)
    assert problem.message == "layer 2 (odd): boo"
    (problem,) = problems_again(write_spec)
    assert problem.message == "layer 2 (odd): boo"


def problems_again(write_spec):
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec('"odd",'))
    return caught.value.problems


@pytest.mark.parametrize("layer", ['"odd",', '{ type = "odd" },'])
def test_a_default_that_does_not_fit(layer, site, write_spec):
    (problem,) = problems(site, write_spec, layer, "way: int = 'x'")
    assert problem.message == (
        'layer 2 (odd): the default of "way", which odd of cnnkit-odd 1.0 sets, does not fit: '
        'Input should be a valid integer, got "x"'
    )
    assert problem.help == "give way a value; only odd of cnnkit-odd 1.0 can mend its default"
    assert problem.line == 11


def test_cnnkit_s_own_types_are_not_there(write_spec):
    registry = load_plugins()
    kept = [p for p in registry.plugins if not any(e.family == "metrics" for e in p.entries)]
    registry.plugins[:] = kept
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec(), registry=registry)
    assert str(caught.value) == (
        "error: cnnkit's own metrics are not registered; reinstall it: pip install "
        "--force-reinstall cnnkit"
    )
