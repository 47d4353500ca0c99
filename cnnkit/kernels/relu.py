"""ReLU: `max(x, 0)`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnkit.arrays import Array, Scratch


def relu(x: Array, scratch: Scratch) -> tuple[Array, Callable[[Array], Array]]:
    """Cut x (any shape) at zero; the gradient at zero is zero."""
    # clip takes 0.7 us where maximum with a scalar, which has no vector loop, takes 1.8.
    y = x.clip(0, np.inf, out=scratch.empty(x.shape, x.dtype))

    def backward(dy: Array) -> Array:
        positive = np.greater(y, 0, out=scratch.temp("relu.positive", y.shape, bool))
        return np.multiply(dy, positive, out=scratch.empty(y.shape, y.dtype))

    return y, backward
