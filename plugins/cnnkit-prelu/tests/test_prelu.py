"""PReLU against the kit, against numbers computed by hand, and inside a spec."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from cnnkit_prelu import PRelu

import cnnkit
from cnnkit.base import Context, Weight
from cnnkit.errors import OptionError
from cnnkit.testing import parametrize_layer_checks

SPEC = Path(__file__).parent.parent / "specs" / "prelu.toml"


@parametrize_layer_checks(
    [(PRelu(), (2, 3, 4)), (PRelu(init=0.0), (5,)), (PRelu(init=1.0), (3, 2))]
)
def test_layers(layer, shape, check):
    check(layer, shape)


def test_by_hand():
    x = np.array([[[-2.0, 3.0], [-1.0, 0.0]]])  # one sample, two channels, two positions
    weights = {"slope": np.array([0.5, 0.1])}
    y, backward = PRelu().forward(x, weights, Context())
    assert y.tolist() == [[[-1.0, 3.0], [-0.1, 0.0]]]
    dx, grads = backward(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    assert dx.tolist() == [[[0.5, 2.0], [pytest.approx(0.3), pytest.approx(0.4)]]]
    assert grads["slope"].tolist() == [-2.0, -3.0]


def test_starts_from_init():
    assert PRelu(init=0.75).weights((2, 8, 8)) == {"slope": Weight((2,), 0.75)}


@pytest.mark.parametrize("init", [-0.1, 1.5, "0.25", float("nan")])
def test_refuses_other_slopes(init):
    with pytest.raises(OptionError):
        PRelu(init=init)


def test_a_spec_finds_it_through_its_entry_point():
    assert entry_points(group="cnnkit")["prelu"].value == "cnnkit_prelu"
    layers = cnnkit.load_spec(SPEC).model.layers
    assert [layer.init for layer in layers if isinstance(layer, PRelu)] == [0.25, 0.1, 0.25]
