"""SiLU and its cheap likeness: `x * sigmoid(x)` and `x * clip(x + 3, 0, 6) / 6`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels.sigmoid import sigmoid

Activated = tuple[Array, Callable[[Array], Array]]


def silu(x: Array, scratch: Scratch) -> Activated:
    """Weigh x (any shape) by its sigmoid s; dx = dy * (s + y * (1 - s))."""
    s, _ = sigmoid(x, scratch)
    y = np.multiply(x, s, out=scratch.empty(x.shape, x.dtype))

    def backward(dy: Array) -> Array:
        dx = np.subtract(1, s, out=scratch.empty(x.shape, x.dtype))
        dx *= y
        dx += s
        dx *= dy
        return dx

    return y, backward


def hard_swish(x: Array, scratch: Scratch) -> Activated:
    """Weigh x (any shape) by a ramp from 0 at -3 to 1 at 3; no exponential."""
    y = np.add(x, 3, out=scratch.empty(x.shape, x.dtype))
    y.clip(0, 6, out=y)
    y *= x
    y /= 6

    def backward(dy: Array) -> Array:
        inside = np.abs(x, out=scratch.temp("silu.size", x.shape, x.dtype)) < 3
        dx = np.divide(x, 3, out=scratch.empty(x.shape, x.dtype))
        dx += 0.5  # where the ramp is; else its ends
        np.copyto(dx, x > 0, where=~inside)
        dx *= dy
        return dx

    return y, backward
