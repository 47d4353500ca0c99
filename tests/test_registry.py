"""Registry: who is behind a name, whatever is installed and in whatever order."""

from __future__ import annotations

from itertools import permutations

import pytest
from pydantic_core import PydanticCustomError

from cnnkit.errors import PluginError
from cnnkit.layers import Dense, Flatten, Pool, Relu
from cnnkit.registry import Entry, Plugin, Registry, canonical


def plugin(distribution: str, **types: type) -> Plugin:
    entries = [Entry("layers", name, cls, distribution, "1.0") for name, cls in types.items()]
    return Plugin("x", distribution, "1.0", "x", entries=tuple(entries))


CORE = plugin("cnnkit", relu=Relu, dense=Dense)
SHINY = plugin("cnnkit-shiny", relu=Pool, prelu=Flatten)
OTHER = plugin("aa_Other", prelu=Pool, dense=Dense)
ORDERS = [Registry(list(order)) for order in permutations([CORE, SHINY, OTHER])]


@pytest.mark.parametrize("registry", ORDERS)
def test_a_built_in_keeps_its_bare_name(registry):
    assert registry.find("layers", "relu") is Relu
    assert registry.find("layers", "cnnkit-shiny:relu") is Pool
    assert registry.find("layers", "Cnnkit_Shiny:relu") is Pool
    assert registry.find("layers", "cnnkit:relu") is Relu
    assert [rival.owner for rival in registry.rivals("layers", "relu")] == ["cnnkit-shiny 1.0"]


@pytest.mark.parametrize("registry", ORDERS)
def test_two_third_parties_with_one_name_are_refused(registry):
    message = (
        "type 'prelu' is offered by aa_Other 1.0 and cnnkit-shiny 1.0; "
        'write type = "aa_Other:prelu" or type = "cnnkit-shiny:prelu"'
    )
    with pytest.raises(PluginError) as caught:
        registry.entry("layers", "prelu")
    assert str(caught.value) == message
    with pytest.raises(PydanticCustomError) as located:
        registry.find("layers", "prelu")
    assert (located.value.type, located.value.message()) == ("type_clash", message)
    assert registry.find("layers", "aa-other:prelu") is Pool
    assert registry.rivals("layers", "prelu") == []


@pytest.mark.parametrize("registry", ORDERS)
def test_a_class_passed_on_belongs_to_its_first_owner(registry):
    assert [entry.owner for entry in registry.claims("layers", "dense")] == ["cnnkit 1.0"]
    assert registry.rivals("layers", "dense") == []
    assert registry.entry_of(Dense).owner == "cnnkit 1.0"
    assert registry.entry_of(int) is None
    assert registry.entry_of(Flatten).qualified == "cnnkit-shiny:prelu"


@pytest.mark.parametrize("name", ["gelu", "", ":", "cnnkit-shiny:gelu", "nobody:relu", "a:b:relu"])
def test_names_that_nobody_offers(name):
    assert ORDERS[0].entry("layers", name) is None
    with pytest.raises(PydanticCustomError) as caught:
        ORDERS[0].find("layers", name)
    assert caught.value.type == "unknown_type"
    assert ORDERS[0].entry("losses", "relu") is None


def test_every_offer_of_a_verb_is_known():
    def bench() -> None: ...

    def tune() -> None: ...

    one = Plugin("a", "a", "1", "a", commands=(bench, tune))
    two = Plugin("b", "b", "1", "b", commands=(bench,))
    offers = Registry([one, two]).command_offers()
    assert offers == {"bench": [(bench, one), (bench, two)], "tune": [(tune, one)]}


def test_names_of_distributions():
    assert canonical("My__Plug.in") == "my-plug-in"
