"""Hyperbolic tangent."""

from typing import Literal

import numpy as np

from cnnkit.arrays import Array, Weights
from cnnkit.base import Backward, Context, Layer


class Tanh(Layer):
    """Hyperbolic tangent: shape -> shape, values between -1 and 1.

    y = tanh(x); dx = dy * (1 - y²).

    >>> Tanh().forward(np.log([[1.0, 2.0]]), {}, Context())[0]
    array([[0. , 0.6]])
    """

    type: Literal["tanh"] = "tanh"

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y = np.tanh(x, out=ctx.scratch.empty(x.shape, x.dtype))

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx = np.square(y, out=ctx.scratch.empty(y.shape, y.dtype))
            np.subtract(1, dx, out=dx)
            dx *= dy
            return dx, {}

        return y, backward
