"""Dense, also called fully connected or linear."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Fans, Init, Layer
from cnnkit.base.component import Positive
from cnnkit.kernels.dense import dense


class Dense(Layer):
    """Every output sees every input: shape -> (units,). Flattens its input itself.

    y = x @ W + b with W of shape (inputs, units); dx = dy @ W.T, dW = x.T @ dy, db = sum of dy.

    >>> Dense(units=10).output_shape((6, 14, 14))
    (10,)
    """

    type: Literal["dense"] = "dense"
    units: Positive
    """Number of outputs."""
    bias: Literal["tied", "none"] = "tied"
    """One value per output ("tied"), or "none"."""
    init: Init = Field(default="he", validate_default=True)
    """How W is drawn."""
    bias_init: Init = Field(default="zeros", validate_default=True)
    """How b is drawn."""

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def init_weights(self, shape: Shape, rng: np.random.Generator) -> Weights:
        inputs, units = prod(shape), self.units
        W = self.init.draw((inputs, units), Fans(inputs, units, inputs), rng)
        if self.bias == "none":
            return {"W": W}
        return {"W": W, "b": self.bias_init.draw((units,), Fans(inputs, units, units), rng)}

    def macs(self, shape: Shape) -> int:
        return prod(shape) * self.units

    def weight_count(self, shape: Shape) -> int:
        return (prod(shape) + (self.bias != "none")) * self.units

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = dense(x, w["W"], w.get("b"), ctx.scratch, ctx.wants_dx)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, dW, db = back(dy)
            dx = dy if dx is None else dx  # nobody reads it then
            return dx, {"W": dW} if db is None else {"W": dW, "b": db}

        return y, backward
