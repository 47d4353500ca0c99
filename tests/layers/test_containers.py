"""Sequential and residual: names, weights, the chain rule, and what their children are told."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from cnnkit.arrays import flatten
from cnnkit.base import Context, Layer, Weight
from cnnkit.base.weight import count, declared, draw
from cnnkit.layers import Conv, Dense, Dropout, Relu, Residual, Sequential, Softmax

SEEN: list[tuple[str, bool, bool, tuple[int, ...]]] = []


class Note(Layer):
    """Notes the context it is run in."""

    type: Literal["note"] = "note"

    def forward(self, x, w, ctx):
        SEEN.append((ctx.path, ctx.training, ctx.wants_dx, ctx.key))
        return x, lambda dy: (dy, {})


class Times(Layer):
    """y = x * W, one weight."""

    type: Literal["times"] = "times"
    start: float = 2.0

    def weights(self, shape):
        return {"W": Weight((), self.start)}

    def forward(self, x, w, ctx):
        return x * w["W"], lambda dy: (dy * w["W"], {"W": (dy * x).sum()})


def drawn(layer, shape):
    return draw(layer.weights(shape), np.random.default_rng(0), np.float64)


def run(layer, x, dy=1.0):
    """Return y, dx and the gradients by path, as plain numbers."""
    weights = drawn(layer, (1,))
    y, back = layer.forward(np.array([[x]]), weights, Context(training=True))
    dx, grads = back(np.array([[dy]]))
    return y.item(), dx.item(), {path: float(g) for path, g in flatten(grads).items()}


def test_sequential_by_hand():
    """7 * 2 * 3: each weight's gradient is the product of all the others and x."""
    chain = Sequential(layers=[Times(start=2), Relu(), Times(start=3)])
    assert run(chain, 7.0) == (42, 6, {"2_times/W": 14, "0_times/W": 21})


def test_residual_by_hand():
    """y = 2 * 3 * x + x, and with a shortcut 2 * 3 * x + 5 * x."""
    body = [Times(start=2), Times(start=3)]
    assert run(Residual(body=body), 7.0) == (49, 7, {"1_times/W": 14, "0_times/W": 21})
    assert run(Residual(body=body, shortcut=[Times(start=5)]), 7.0, 10.0) == (
        77,
        110,
        {"1_times/W": 140, "0_times/W": 210, "shortcut/0_times/W": 70},
    )


def test_residual_within_residual_by_hand():
    """y = 2 * (3 * x + x) + x."""
    inner = Residual(body=[Times(start=3)])
    assert run(Residual(body=[inner, Times(start=2)]), 7.0) == (
        63,
        9,
        {"1_times/W": 28, "0_residual/0_times/W": 14},
    )


def test_names_of_weights():
    chain = Sequential(
        layers=[
            Dense(units=3),
            Relu(),
            Sequential(layers=[Relu(), Dense(units=3)], label="neck"),
            Residual(body=[Dense(units=3)], shortcut=[Dense(units=3, bias="none")]),
            Softmax(units=2),
        ]
    )
    names = ["0_dense/W", "0_dense/b", "2_neck/1_dense/W", "2_neck/1_dense/b",
             "3_residual/0_dense/W", "3_residual/0_dense/b", "3_residual/shortcut/0_dense/W",
             "4_softmax/0_dense/W", "4_softmax/0_dense/b"]  # fmt: skip
    for same in (chain, chain.lower()):
        weights = drawn(same, (4,))
        assert list(flatten(weights)) == names
        assert count(same.weights((4,))) == sum(w.size for w in flatten(weights).values())
        assert list(declared(same.weights((4,)))) == names
        assert same.macs((4,)) == 12 + 9 + 9 + 9 + 6
        y, back = same.forward(np.ones((2, 4)), weights, Context(training=True))
        assert sorted(flatten(back(y)[1])) == sorted(names)


def test_lowering_reaches_every_child_and_changes_no_weight():
    chain = Sequential(layers=[Residual(body=[Softmax(units=4)], shortcut=[Softmax(units=4)])])
    lowered = chain.lower()
    block = lowered.layers[0]
    assert [layer.type for layer in block.body + block.shortcut] == ["sequential"] * 2
    one, two = (flatten(drawn(c, (4,))) for c in (chain, lowered))
    assert list(one) == list(two)
    assert all(np.array_equal(one[path], two[path]) for path in one)


def test_body_and_shortcut_draw_apart():
    block = Residual(body=[Dense(units=4)], shortcut=[Dense(units=4)])
    weights = flatten(drawn(block, (4,)))
    assert not np.array_equal(weights["0_dense/W"], weights["shortcut/0_dense/W"])


def test_what_children_are_told_of_their_place():
    SEEN.clear()
    chain = Sequential(
        layers=[
            Note(),
            Residual(body=[Note(), Times(), Note()], shortcut=[Note()]),
            Note(),
        ]
    )
    weights = drawn(chain, (1,))
    ctx = Context(training=True, wants_dx=False, key=(1, 2, 3, 4), path="5_block")
    chain.forward(np.ones((1, 1)), weights, ctx)
    key = (1, 2, 3, 4)
    told = list(SEEN)
    assert told == [
        ("5_block/0_note", True, False, key),
        ("5_block/1_residual/0_note", True, False, key),
        ("5_block/1_residual/2_note", True, True, key),  # a layer before it learns
        ("5_block/1_residual/shortcut/0_note", True, False, key),
        ("5_block/2_note", True, True, key),
    ]


def test_dropouts_in_one_network_do_not_drop_alike():
    block = Residual(body=[Dropout()], shortcut=[Dropout()])
    y, _ = block.forward(np.ones((1, 200)), {}, Context(training=True))
    assert set(np.unique(y)) == {0, 2, 4}  # both dropped, one of them, none


@pytest.mark.parametrize("cls", [Sequential, Residual])
def test_an_empty_container_is_refused(cls):
    option = "layers" if cls is Sequential else "body"
    with pytest.raises(ValueError, match="at least 1 element"):
        cls(**{option: []})


def test_children_may_be_names_tables_or_layers():
    chain = Sequential(layers=["relu", {"type": "conv", "filters": 2, "kernel": 3}, Relu()])
    assert chain.layers == [Relu(), Conv(filters=2, kernel=3), Relu()]
    again = Sequential.model_validate(chain.model_dump(mode="json", exclude_none=True))
    assert again == chain
