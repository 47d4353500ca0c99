"""The loops against cnnkit's own layers, in float64: forward and every gradient."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from cnnkit.arrays import flatten
from cnnkit.base import Context
from cnnkit.base.weight import draw
from cnnkit.layers import Conv, Dense, Flatten, Pool, Relu, Residual, Sequential, Sigmoid, Softmax

from cnnkit_bench.network import export, walk
from cnnkit_bench.peers.loops_ops import LoopOps

SHAPE = (4, 7, 6)


def check(*layers):
    network = Sequential(layers=list(layers)).lower()
    rng = np.random.default_rng(3)
    weights = draw(network.weights(SHAPE), rng, np.float64)
    x = rng.normal(size=SHAPE)
    y, back = network.forward(x[None], weights, Context(training=True))
    dy = rng.normal(size=y.shape)
    dx, gradients = back(dy)

    table = LoopOps(flatten(weights))
    found = walk(table, export(network, SHAPE), x)
    np.testing.assert_allclose(found, y[0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(table.backward(dy[0]), dx[0], rtol=1e-10, atol=1e-12)
    expected = flatten(gradients)
    assert table.gradients.keys() == expected.keys()
    for path, gradient in expected.items():
        np.testing.assert_allclose(table.gradients[path], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups"),
    list(product((1, 2, [3, 2]), (1, [2, 3]), ("same", "valid", [[0, 2], [1, 0]]), (1, 2), (1, 2))),
)
def test_conv(kernel, stride, padding, dilation, groups):
    check(
        Conv(
            filters=6, kernel=kernel, stride=stride, padding=padding, dilation=dilation,
            groups=groups,
        )
    )  # fmt: skip


@pytest.mark.parametrize("bias", ["tied", "untied", "none"])
def test_bias(bias):
    check(Conv(filters=2, kernel=3, bias=bias), Relu())


@pytest.mark.parametrize(
    ("kind", "stride"), list(product(("max", "min", "mean"), (None, 1, [3, 2])))
)
def test_pool(kind, stride):
    check(Pool(kind=kind, size=[2, 3], stride=stride))


def test_flat_layers():
    check(Flatten(), Dense(units=5), Sigmoid(), Dense(units=3, bias="none"), Softmax())


def test_residual_with_and_without_a_shortcut():
    body = [Conv(filters=4, kernel=3, padding="same"), Relu()]
    narrow = [Conv(filters=2, kernel=1), Relu()]
    check(
        Residual(body=[*body, Residual(body=body)]),
        Residual(body=narrow, shortcut=[Conv(filters=2, kernel=1)]),
        Softmax(units=3),
    )


def test_a_maximum_that_ties_sends_its_slope_to_the_first():
    table = LoopOps({})
    walk(table, export(Sequential(layers=[Pool(size=2)]), (1, 2, 2)), np.ones((1, 2, 2)))
    dx = table.backward(np.full((1, 1, 1), 3.0))
    np.testing.assert_array_equal(dx, [[[3, 0], [0, 0]]])
