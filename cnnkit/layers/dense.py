"""Dense, also called fully connected or linear."""

from math import prod
from typing import ClassVar, Literal

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Fans, Init, Layer, Positive, Synonyms, Weight, default
from cnnkit.kernels.dense import dense


class Dense(Layer):
    """Every output sees every input: shape -> (units,). Flattens its input itself.

    y = x @ W + b with W of shape (inputs, units); dx = dy @ W.T, dW = x.T @ dy, db = sum of dy.

    >>> Dense(units=10).output_shape((6, 14, 14))
    (10,)
    """

    type: Literal["dense"] = "dense"
    synonyms: ClassVar[Synonyms] = {
        "dense": "linear fc fullyconnected affine innerproduct denselayer"
    }
    units: Positive
    """Number of outputs."""
    bias: Literal["tied", "none"] = "tied"
    """One value per output ("tied"), or "none"."""
    init: Init = default("he")
    """How W is drawn."""
    bias_init: Init = default("zeros")
    """How b is drawn."""

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def weights(self, shape: Shape) -> dict[str, Weight]:
        inputs, units = prod(shape), self.units
        W = Weight((inputs, units), self.init)
        if self.bias == "none":
            return {"W": W}
        b = Weight((units,), self.bias_init, Fans(inputs, units, units), decays=False)
        return {"W": W, "b": b}

    def macs(self, shape: Shape) -> int:
        return prod(shape) * self.units

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = dense(x, w["W"], w.get("b"), ctx.scratch, ctx.wants_dx)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, dW, db = back(dy)
            dx = dy if dx is None else dx  # nobody reads it then
            return dx, {"W": dW} if db is None else {"W": dW, "b": db}

        return y, backward
