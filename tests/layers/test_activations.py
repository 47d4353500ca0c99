"""Softmax and sigmoid with weights of their own; ReLU, flatten, dense and pool by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.base import Context, Initializer
from cnnkit.base.weight import count, draw
from cnnkit.layers import Dense, Flatten, Pool, Relu, Sequential, Sigmoid, Softmax


@pytest.mark.parametrize("cls", [Softmax, Sigmoid])
def test_with_units_it_stands_for_dense_and_itself(cls):
    layer = cls(units=4, init="normal", bias_init="uniform")
    lowered = layer.lower()
    assert isinstance(lowered, Sequential)
    assert lowered.label == layer.type
    assert lowered.layers == [Dense(units=4, init="normal", bias_init="uniform"), cls()]
    weights = draw(layer.weights((2, 3)), np.random.default_rng(0), np.float64)
    assert {k: w.shape for k, w in weights["0_dense"].items()} == {"W": (6, 4), "b": (4,)}
    assert count(layer.weights((2, 3))) == 28
    assert layer.macs((2, 3)) == 24
    x = np.random.default_rng(1).standard_normal((5, 2, 3))
    z = x.reshape(5, 6) @ weights["0_dense"]["W"] + weights["0_dense"]["b"]
    wanted = np.exp(z) / np.exp(z).sum(1, keepdims=True) if cls is Softmax else 1 / (1 + np.exp(-z))
    for same in (layer, lowered):
        y, _ = same.forward(x, weights, Context())
        np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("cls", [Softmax, Sigmoid])
def test_without_units_it_has_no_weights(cls):
    layer = cls()
    assert layer.lower() is layer
    assert layer.weights((3,)) == {}
    assert layer.macs((3,)) == 0
    assert layer.output_shape((2, 3)) == (2, 3)


def test_what_the_dense_layers_initializers_are_told():
    notes = []

    class Noted(Initializer):
        """Notes the fans it is given."""

        type: str = "noted"

        def draw(self, shape, fans, rng):
            notes.append((shape, fans.fan_in, fans.fan_out, fans.area))
            return np.zeros(shape)

    layer = Softmax(units=4, init=Noted(), bias_init=Noted())
    draw(layer.weights((2, 3)), np.random.default_rng(0), np.float64)
    assert notes == [((6, 4), 6, 4, 6), ((4,), 6, 4, 4)]


def test_softmax_backward_is_the_whole_jacobian():
    y, back = Softmax().forward(np.log([[1.0, 2, 5]]), {}, Context())
    np.testing.assert_allclose(y, [[0.125, 0.25, 0.625]], rtol=0, atol=1e-15)
    for k in range(3):  # row k: y_k * (delta - y)
        dx, _ = back(np.eye(3)[[k]])
        np.testing.assert_allclose(dx[0], y[0, k] * (np.eye(3)[k] - y[0]), rtol=0, atol=1e-15)


def test_relu_by_hand():
    y, back = Relu().forward(np.array([[-2.0, 0.0, 3.0]]), {}, Context())
    assert y.tolist() == [[0, 0, 3]]
    dx, grads = back(np.array([[5.0, 6, 7]]))
    assert (dx.tolist(), grads) == ([[0, 0, 7]], {})


def test_sigmoid_by_hand():
    y, back = Sigmoid().forward(np.array([[0.0, np.log(3)]]), {}, Context())
    np.testing.assert_allclose(y, [[0.5, 0.75]], rtol=0, atol=1e-15)
    np.testing.assert_allclose(back(np.array([[4.0, 16]]))[0], [[1, 3]], rtol=0, atol=1e-14)


def test_dense_by_hand():
    x, w = np.array([[1.0, 2], [3, 4]]), {"W": np.array([[1.0, 10], [2, 20]]), "b": np.ones(2)}
    y, back = Dense(units=2).forward(x, w, Context())
    assert y.tolist() == [[6, 51], [12, 111]]
    dx, grads = back(np.array([[1.0, 0], [1, 1]]))
    assert dx.tolist() == [[1, 2], [11, 22]]
    assert grads["W"].tolist() == [[4, 3], [6, 4]]
    assert grads["b"].tolist() == [2, 1]


@pytest.mark.parametrize("bias", ["tied", "none"])
def test_dense_weights(bias):
    layer = Dense(units=4, bias=bias)
    found = {name: (w.shape, w.learns, w.decays) for name, w in layer.weights((2, 3)).items()}
    wanted = {"W": ((6, 4), True, True), "b": ((4,), True, False)}
    assert found == (wanted if bias == "tied" else {"W": wanted["W"]})
    assert layer.macs((2, 3)) == 24


def test_flatten_keeps_the_order_channel_row_column():
    x = np.arange(12.0).reshape(1, 2, 2, 3)
    y, back = Flatten().forward(x, {}, Context())
    assert y.tolist() == [list(range(12))]
    assert np.array_equal(back(y)[0], x)


@pytest.mark.parametrize(
    ("kind", "y", "dx"),
    [
        ("max", [[4, 8]], [[0, 0, 0, 0, 0], [0, 1, 0, 10, 0]]),
        ("min", [[1, 5]], [[1, 0, 10, 0, 0], [0, 0, 0, 0, 0]]),
        ("mean", [[2.5, 6.5]], [[0.25, 0.25, 2.5, 2.5, 0], [0.25, 0.25, 2.5, 2.5, 0]]),
    ],
)
def test_pool_by_hand(kind, y, dx):
    """Windows touch where no stride is given, and the fifth column fills none."""
    x = np.array([[[[1.0, 2, 5, 6, 9], [3, 4, 7, 8, 9]]]])
    got, back = Pool(kind=kind, size=2).forward(x, {}, Context())
    assert got[0, 0].tolist() == y
    assert back(np.array([[[[1.0, 10]]]]))[0][0, 0].tolist() == dx


def test_a_layer_keeps_nothing_on_itself():
    with pytest.raises(AttributeError) as caught:
        Relu().x = 1
    assert str(caught.value) == (
        "relu has no option 'x', and is frozen: keep it in a variable that backward reads, or in "
        "the weights"
    )
