"""Rectified linear unit."""

from typing import Literal

from cnnkit.arrays import Array, Weights
from cnnkit.base import Backward, Context, Layer
from cnnkit.kernels.relu import relu


class Relu(Layer):
    """Rectified linear unit: shape -> shape.

    y = max(x, 0); dx = dy where x > 0, else 0 (also at x = 0).

    >>> import numpy as np
    >>> Relu().forward(np.array([[-1.0, 2.0]]), {}, Context())[0]
    array([[0., 2.]])
    """

    type: Literal["relu"] = "relu"

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = relu(x, ctx.scratch)
        return y, lambda dy: (back(dy), {})
