"""`--set` arguments that no line of a file can hold."""

from __future__ import annotations

import pytest

from cnnkit.plugins import load_plugins
from cnnkit.specfile.overrides import apply_overrides

REGISTRY = load_plugins()


@pytest.mark.parametrize(
    "argument",
    ["train.epochs=5\n[optimizer]\nlr=9", "train.epochs=5\nbatch=3", 'name="a"\n[[x]]'],
)
def test_more_than_one_value(argument):
    tree = {"train": {"epochs": 3}}
    done, (refused,) = apply_overrides(tree, [argument], REGISTRY)
    assert (done, tree) == ((), {"train": {"epochs": 3}})
    assert refused.message == (f"cannot read {argument!r}: expected one value, got more lines")
    assert refused.help == "give every KEY=VALUE a --set of its own"


def test_one_value_of_several_lines():
    tree = {"data": {}}
    done, refused = apply_overrides(tree, ["data.only=[\n1,\n2\n]"], REGISTRY)
    assert (refused, tree) == ([], {"data": {"only": [1, 2]}})
    assert done[0].path == ("data", "only")


def test_a_key_of_900_parts():
    _, (refused,) = apply_overrides({}, ["a." * 900 + "b=1"], REGISTRY)
    assert refused.message.endswith("its key has 901 parts, more than 64")


@pytest.mark.parametrize(
    ("argument", "tree"),
    [
        ("optimizer.lr=1", {"optimizer": {"type": "adam", "lr": 1}}),
        ("optimizer.schedule.every=2", None),
        ("model.layers.0.units=3", {"model": {"layers": [{"type": "relu", "units": 3}]}}),
        ("model.layers.0.gate_init.scale=3", None),
        ("metrics.0.top=3", {"metrics": [{"type": "accuracy", "top": 3}]}),
    ],
)
def test_a_shorthand_becomes_a_table(argument, tree):
    found = {"optimizer": "adam", "model": {"layers": ["relu"]}, "metrics": ["accuracy"]}
    _, refused = apply_overrides(found, [argument], REGISTRY)
    assert refused == []
    assert tree is None or found | tree == found
