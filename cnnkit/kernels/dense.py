"""Fully connected: `y = x @ W + b`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnkit.arrays import Array, Scratch

DenseBackward = Callable[[Array], tuple[Array | None, Array, Array | None]]


def dense(
    x: Array, W: Array, b: Array | None, scratch: Scratch, wants_dx: bool = True
) -> tuple[Array, DenseBackward]:
    """Map x (N, ...) flattened to (N, D) by W (D, units) and b (units,) -> y (N, units)."""
    N, (D, units) = len(x), W.shape
    flat = x.reshape(N, D)
    y = np.matmul(flat, W, out=scratch.empty((N, units), x.dtype))
    if b is not None:
        y += b

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dW = scratch.empty((D, units), x.dtype)
        if N == 1:
            _outer(flat, dy, dW, scratch)
        else:
            np.matmul(flat.T, dy, out=dW)
        db = None
        if b is not None:
            db = np.add.reduce(dy, axis=0, out=scratch.empty((units,), x.dtype))
        dx = None
        if wants_dx:
            dx = np.matmul(dy, W.T, out=scratch.empty((N, D), x.dtype)).reshape(x.shape)
        return dx, dW, db

    return y, backward


def _outer(x: Array, dy: Array, dW: Array, scratch: Scratch) -> None:
    """Multiply (1, D) and (1, units) into dW (D, units).

    matmul keeps an inner length of one from BLAS: with a row of zeros it takes 11 us for
    1176x100, alone 218, and broadcasting takes 50.
    """
    left = scratch.temp("dense.left", (2, x.shape[1]), x.dtype)
    right = scratch.temp("dense.right", (2, dy.shape[1]), x.dtype)
    left[0], right[0] = x[0], dy[0]
    left[1], right[1] = 0, 0
    np.matmul(left.T, right, out=dW)
