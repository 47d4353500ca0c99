"""Conv: what it draws, counts and holds; its arithmetic is tested in tests/kernels."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.base import Context, Initializer
from cnnkit.base.weight import draw
from cnnkit.errors import OptionError
from cnnkit.layers import Conv


class Noted(Initializer):
    """Notes the fans it is given."""

    type: str = "noted"

    def draw(self, shape, fans, rng):
        NOTES.append((shape, fans.fan_in, fans.fan_out, fans.area))
        return np.zeros(shape)


NOTES: list[tuple[tuple[int, ...], int, int, int]] = []


@pytest.mark.parametrize(
    ("bias", "form"), [("tied", (8,)), ("untied", (8, 3, 5)), ("none", None)]
)  # fmt: skip
@pytest.mark.parametrize("groups", [1, 2])
def test_weights_by_bias_and_groups(bias, form, groups):
    layer = Conv(filters=8, kernel=[3, 2], stride=[2, 1], groups=groups, bias=bias)
    weights = layer.weights((4, 7, 6))
    shapes = {name: w.shape for name, w in weights.items()}
    kernels = {"W": (8, 4 // groups, 3, 2)}
    assert shapes == (kernels if form is None else {**kernels, "b": form})
    assert {name: (w.learns, w.decays) for name, w in weights.items()} == {
        name: (True, name == "W") for name in shapes
    }
    # one multiply-accumulate per kernel cell, channel in the group, filter and output position
    assert layer.macs((4, 7, 6)) == 3 * 2 * (4 // groups) * 8 * 3 * 5


def test_what_an_initializer_is_told():
    """fan_in: inputs of one output; fan_out: outputs of one input; area: kernel or padded map."""
    NOTES.clear()
    layer = Conv(filters=8, kernel=[3, 2], padding=[[1, 0], [2, 2]], groups=2,
                 bias="untied", init=Noted(), bias_init=Noted())  # fmt: skip
    draw(layer.weights((4, 7, 6)), np.random.default_rng(0), np.float64)
    assert NOTES == [
        ((8, 2, 3, 2), 2 * 6, 4 * 6, 6),
        ((8, 6, 9), 2 * 6, 4 * 6, (7 + 1) * (6 + 4)),
    ]


def test_he_kernels_keep_the_variance_of_a_relus_output():
    declared = Conv(filters=64, kernel=5).weights((16, 9, 9))
    weights = draw(declared, np.random.default_rng(0), np.float64)
    assert weights["W"].std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert not weights["b"].any()


@pytest.mark.parametrize("bias", ["tied", "untied", "none"])
def test_bias_by_hand(bias):
    x = np.array([[[[1.0, 2], [3, 4]]]])
    weights = {"W": np.array([[[[10.0]]], [[[-1.0]]]])}
    if bias != "none":
        b = np.array([[[1.0, 2], [3, 4]], [[5, 6], [7, 8]]])
        weights["b"] = b if bias == "untied" else b[:, 0, 0]
    y, back = Conv(filters=2, kernel=1, bias=bias).forward(x, weights, Context())
    assert (
        y[0].tolist()
        == {
            "none": [[[10, 20], [30, 40]], [[-1, -2], [-3, -4]]],
            "tied": [[[11, 21], [31, 41]], [[4, 3], [2, 1]]],
            "untied": [[[11, 22], [33, 44]], [[4, 4], [4, 4]]],
        }[bias]
    )
    dy = np.array([[[[1.0, 0], [0, 1]], [[2, 2], [2, 2]]]])
    dx, grads = back(dy)
    assert dx[0, 0].tolist() == [[8, -2], [-2, 8]]
    assert grads["W"].ravel().tolist() == [5, 20]
    if bias == "none":
        assert "b" not in grads
    else:
        assert grads["b"].tolist() == (dy[0].tolist() if bias == "untied" else [2, 8])


def test_it_correlates_and_does_not_flip():
    x = np.array([[[[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]]])
    weights = {"W": np.arange(9.0).reshape(1, 1, 3, 3), "b": np.zeros(1)}
    y, _ = Conv(filters=1, kernel=3, padding="same").forward(x, weights, Context())
    assert y[0, 0].tolist() == [[8, 7, 6], [5, 4, 3], [2, 1, 0]]


def test_groups_keep_to_their_own_channels():
    x = np.array([1.0, 10, 100, 1000]).reshape(1, 4, 1, 1)
    weights = {"W": np.ones((2, 2, 1, 1)), "b": np.zeros(2)}
    y, _ = Conv(filters=2, kernel=1, groups=2).forward(x, weights, Context())
    assert y.ravel().tolist() == [11, 1100]


ZEROS = ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("same", "same"),
        ("valid", "valid"),
        (0, ZEROS),
        (2, ((2, 2), (2, 2))),
        ([1, 3], ((1, 1), (3, 3))),
        ((1, 3), ((1, 1), (3, 3))),
        ([[1, 2], [0, 3]], ((1, 2), (0, 3))),
        ([[1, 2], 3], ((1, 2), (3, 3))),
    ],
)
def test_ways_to_write_padding(written, meant):
    assert Conv(filters=1, kernel=3, padding=written).padding == meant


@pytest.mark.parametrize(
    "written", [-1, 1.0, True, "SAME", [1], [1, 2, 3], [[1, 2], [3]], [[1, -2], [0, 0]], None, {}]
)
def test_padding_that_means_nothing(written):
    with pytest.raises(OptionError) as caught:
        Conv(filters=1, kernel=3, padding=written)
    (problem,) = caught.value.problems
    assert problem.message.startswith(
        'conv: padding must be "same", "valid", a whole number >= 0, [h, w] or '
        "[[top, bottom], [left, right]], got "
    )
    assert problem.path == ("padding",)
