"""Sigmoid, and sigmoid with binary cross-entropy in one stable step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnkit.arrays import Array, Scratch


def sigmoid(x: Array, scratch: Scratch) -> tuple[Array, Callable[[Array], Array]]:
    """Squash x (any shape) into (0, 1): `1 / (1 + exp(-x))`, without overflow for either sign."""
    y = scratch.empty(x.shape, x.dtype)
    _squash(x, y)

    def backward(dy: Array) -> Array:
        dx = np.subtract(1, y, out=scratch.empty(y.shape, y.dtype))
        dx *= y
        dx *= dy
        return dx

    return y, backward


def _squash(x: Array, y: Array) -> Array:
    """Write `exp(min(x, 0)) / (1 + exp(-|x|))` into y and return `exp(-|x|)`."""
    small = np.exp(-np.abs(x))
    np.minimum(x, 0, out=y)
    np.exp(y, out=y)
    y /= 1 + small
    return small


def sigmoid_binary_cross_entropy(
    logits: Array, targets: Array, scratch: Scratch
) -> tuple[Array, Array]:
    """Compare logits (N, K) with targets (N, K) in [0, 1] -> losses (N,), dlogits (N, K).

    loss = mean over K of `max(z, 0) - z*t + log(1 + exp(-|z|))`; targets (N,) do for K = 1.
    """
    (N, K), dtype = logits.shape, logits.dtype
    wanted = np.asarray(targets, dtype).reshape(N, K)
    dlogits = scratch.empty((N, K), dtype)
    small = _squash(logits, dlogits)
    dlogits -= wanted
    dlogits /= K
    each = np.maximum(logits, 0) - logits * wanted + np.log1p(small)
    losses = np.mean(each, axis=1, out=scratch.empty((N,), dtype))
    return losses, dlogits
