"""Dense, ReLU, softmax and sigmoid against their formulas and their numeric gradients."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.arrays import Arena, Scratch
from cnnkit.kernels.dense import dense
from cnnkit.kernels.relu import relu
from cnnkit.kernels.sigmoid import sigmoid, sigmoid_binary_cross_entropy
from cnnkit.kernels.softmax import softmax, softmax_cross_entropy

DTYPES = [np.float64, np.float32]


def draw(shape, dtype, seed=0):
    wide = np.random.default_rng(seed).standard_normal((*shape[:-1], 2 * shape[-1]))
    return wide.astype(dtype)[..., ::2]  # non-contiguous


def check_gradient(function, x, bound=1e-6):
    """Compare backward with a central difference along one random direction (float64 x)."""
    y, backward = function(x)
    dy, direction, step = draw(y.shape, x.dtype, 5), draw(x.shape, x.dtype, 6), 1e-6
    y, dx = y.copy(), backward(dy).copy()
    ahead = function(x + step * direction)[0].copy()
    behind = function(x - step * direction)[0].copy()
    numeric = ((ahead - behind) / (2 * step) * dy).sum()
    assert abs(numeric - (dx * direction).sum()) < bound


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("N", [1, 2, 33])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("wants_dx", [True, False])
def test_dense(dtype, N, bias, wants_dx):
    arena, bound = Arena(), 1e-10 if dtype is np.float64 else 2e-5
    x, W, dy = draw((N, 2, 3, 4), dtype), draw((24, 5), dtype, 1), draw((N, 5), dtype, 3)
    b = draw((5,), dtype, 2) if bias else None
    before = x.copy(), dy.copy()
    for _ in range(2):
        arena.reset()
        y, backward = dense(x, W, b, arena, wants_dx)
        dx, dW, db = backward(dy)
        flat = x.reshape(N, 24).astype(np.float64)
        np.testing.assert_allclose(y, flat @ W + (b if bias else 0), rtol=0, atol=bound)
        np.testing.assert_allclose(dW, flat.T @ dy, rtol=0, atol=bound)
        assert y.dtype == dW.dtype == dtype
        if bias:
            np.testing.assert_allclose(db, dy.sum(axis=0), rtol=0, atol=bound)
            assert db.dtype == dtype
        if wants_dx:
            wanted = (dy.astype(np.float64) @ W.T).reshape(x.shape)
            np.testing.assert_allclose(dx, wanted, rtol=0, atol=bound)
            assert dx.dtype == dtype
        assert (db is None, dx is None) == (not bias, not wants_dx)
    assert np.array_equal(before[0], x)
    assert np.array_equal(before[1], dy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 4), (33, 2, 3, 5)])
@pytest.mark.parametrize("function", [relu, softmax, sigmoid])
def test_activation(function, shape, dtype):
    x, dy = draw(shape, dtype), draw(shape, dtype, 1)
    before = x.copy(), dy.copy()
    y, backward = function(x, Scratch())
    dx = backward(dy)
    wide = x.astype(np.float64)
    wanted = {
        relu: lambda: np.where(wide > 0, wide, 0),
        sigmoid: lambda: 1 / (1 + np.exp(-wide)),
        softmax: lambda: np.exp(wide) / np.exp(wide).sum(axis=-1, keepdims=True),
    }[function]()
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12 if dtype is np.float64 else 1e-6)
    assert y.dtype == dx.dtype == dtype
    assert y.shape == dx.shape == shape
    assert np.array_equal(before[0], x)
    assert np.array_equal(before[1], dy)
    if dtype is np.float64:
        arena = Arena()

        def fresh(x):
            arena.reset()
            return function(x, arena)

        check_gradient(fresh, x)


def test_relu_at_zero():
    x = np.array([[-0.0, 0.0, 1.0]])
    y, backward = relu(x, Scratch())
    np.testing.assert_array_equal(backward(np.full((1, 3), -2.0)), [[0, 0, -2]])
    np.testing.assert_array_equal(y, [[0, 0, 1]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_and_sigmoid_stay_finite(dtype):
    x = np.array([[800.0, -800.0, 0.0]], dtype)
    np.testing.assert_allclose(softmax(x, Scratch())[0], [[1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(sigmoid(x, Scratch())[0], [[1, 0, 0.5]], atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("N", [1, 33])
def test_softmax_cross_entropy(dtype, N):
    logits, labels = draw((N, 7), dtype), np.random.default_rng(1).integers(0, 7, N)
    before = logits.copy()
    losses, dlogits = softmax_cross_entropy(logits, labels, Arena())
    wide = logits.astype(np.float64)
    soft = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    bound = 1e-12 if dtype is np.float64 else 2e-6
    np.testing.assert_allclose(losses, -np.log(soft[range(N), labels]), rtol=0, atol=bound)
    np.testing.assert_allclose(dlogits, soft - np.eye(7)[labels], rtol=0, atol=bound)
    assert losses.dtype == dlogits.dtype == dtype
    assert np.array_equal(before, logits)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_of_large_logits(dtype):
    logits = np.array([[800.0, -800.0], [-800.0, 800.0]], dtype)
    losses, dlogits = softmax_cross_entropy(logits, np.array([0, 0]), Scratch())
    np.testing.assert_allclose(losses, [0, 1600])
    np.testing.assert_allclose(dlogits, [[0, 0], [-1, 1]])
    losses, dlogits = sigmoid_binary_cross_entropy(logits[:, :1], np.array([1, 1]), Scratch())
    np.testing.assert_allclose(losses, [0, 800])
    np.testing.assert_allclose(dlogits, [[0], [-1]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (33, 1), (5, 3)])
def test_sigmoid_binary_cross_entropy(dtype, shape):
    logits = draw(shape, dtype)
    targets = np.random.default_rng(1).integers(0, 2, shape)
    before = logits.copy()
    losses, dlogits = sigmoid_binary_cross_entropy(logits, targets, Arena())
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    wanted = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(axis=1)
    bound = 1e-12 if dtype is np.float64 else 2e-6
    np.testing.assert_allclose(losses, wanted, rtol=0, atol=bound)
    np.testing.assert_allclose(dlogits, (p - targets) / shape[1], rtol=0, atol=bound)
    assert losses.dtype == dlogits.dtype == dtype
    assert np.array_equal(before, logits)
