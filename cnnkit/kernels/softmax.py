"""Softmax, and softmax with cross-entropy in one stable step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnkit.arrays import Array, Scratch


def softmax(x: Array, scratch: Scratch) -> tuple[Array, Callable[[Array], Array]]:
    """Normalise `exp(x)` over the last axis, x of any shape; backward is the true Jacobian."""
    y = scratch.empty(x.shape, x.dtype)
    np.subtract(x, np.maximum.reduce(x, axis=-1, keepdims=True), out=y)
    np.exp(y, out=y)
    y /= np.add.reduce(y, axis=-1, keepdims=True)

    def backward(dy: Array) -> Array:
        dx = np.multiply(dy, y, out=scratch.empty(y.shape, y.dtype))
        dx -= y * np.add.reduce(dx, axis=-1, keepdims=True)
        return dx

    return y, backward


def softmax_cross_entropy(logits: Array, labels: Array, scratch: Scratch) -> tuple[Array, Array]:
    """Compare logits (N, K) with int labels (N,) -> losses (N,), dlogits (N, K), not averaged.

    loss = log(sum(exp(z))) - z[label], dlogits = softmax(z) - onehot(label).
    """
    rows = np.arange(len(logits))
    dlogits = scratch.empty(logits.shape, logits.dtype)
    np.subtract(logits, np.maximum.reduce(logits, axis=1, keepdims=True), out=dlogits)
    chosen = dlogits[rows, labels]
    np.exp(dlogits, out=dlogits)
    total = np.add.reduce(dlogits, axis=1)
    losses = np.log(total, out=scratch.empty((len(logits),), logits.dtype))
    losses -= chosen
    dlogits /= total[:, None]
    dlogits[rows, labels] -= 1
    return losses, dlogits


def soft_cross_entropy(logits: Array, targets: Array, scratch: Scratch) -> tuple[Array, Array]:
    """Compare logits (N, K) with targets (N, K) >= 0 -> losses (N,), dlogits (N, K).

    loss = -sum over k of t_k * log(softmax(z)_k), dlogits = sum(t) * softmax(z) - t; targets need
    not add up to 1, so that weights of classes may be in them.
    """
    dlogits = scratch.empty(logits.shape, logits.dtype)
    np.subtract(logits, np.maximum.reduce(logits, axis=1, keepdims=True), out=dlogits)
    chosen = np.add.reduce(targets * dlogits, axis=1)
    np.exp(dlogits, out=dlogits)
    total, sums = np.add.reduce(dlogits, axis=1), np.add.reduce(targets, axis=1)
    losses = np.log(total, out=scratch.empty((len(logits),), logits.dtype))
    losses *= sums
    losses -= chosen
    dlogits *= (sums / total)[:, None]
    dlogits -= targets
    return losses, dlogits
