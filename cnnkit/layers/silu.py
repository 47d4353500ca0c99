"""Sigmoid-weighted linear unit, also called swish."""

from typing import ClassVar, Literal

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms
from cnnkit.kernels.silu import silu


class Silu(Layer):
    """Sigmoid-weighted linear unit: shape -> shape, also called swish.

    y = x * s with s = 1 / (1 + exp(-x)); dx = dy * (s + y * (1 - s)).
    Source: Elfwing et al., Sigmoid-Weighted Linear Units (2017).

    >>> import numpy as np
    >>> Silu().forward(np.array([[0.0, np.log(3)]]), {}, Context())[0] / np.log(3)
    array([[0.  , 0.75]])
    """

    type: Literal["silu"] = "silu"
    synonyms: ClassVar[Synonyms] = {"silu": "swish"}

    def kept(self, shape: Shape) -> int:
        return 2 * super().kept(shape)  # y and the sigmoid

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = silu(x, ctx.scratch)
        return y, lambda dy: (back(dy), {})
