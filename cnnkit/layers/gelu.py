"""Gaussian error linear unit."""

from typing import ClassVar, Literal

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms
from cnnkit.kernels.gelu import gelu, gelu_tanh


class Gelu(Layer):
    """Gaussian error linear unit: shape -> shape; exact by default, as in PyTorch and Keras.

    y = x * P(Z <= x) for a standard normal Z, which is x * (1 + erf(x / sqrt 2)) / 2; or with
    form = "tanh", x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2, off by 5e-4 at most and
    twice as fast. Source: Hendrycks and Gimpel, Gaussian Error Linear Units (2016).

    >>> import numpy as np
    >>> Gelu().forward(np.array([[-1.0, 0.0, 1.0]]), {}, Context())[0].round(4)
    array([[-0.1587,  0.    ,  0.8413]])
    """

    type: Literal["gelu"] = "gelu"
    synonyms: ClassVar[Synonyms] = {"form": "approximate approximation"}
    form: Literal["erf", "tanh"] = "erf"
    """The formula: the exact one ("erf"), or the one by a hyperbolic tangent."""

    def kept(self, shape: Shape) -> int:
        return (3 if self.form == "erf" else 2) * super().kept(shape)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = (gelu if self.form == "erf" else gelu_tanh)(x, ctx.scratch)
        return y, lambda dy: (back(dy), {})
