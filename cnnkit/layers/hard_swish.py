"""Hard swish."""

from typing import ClassVar, Literal

from cnnkit.arrays import Array, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms
from cnnkit.kernels.silu import hard_swish


class HardSwish(Layer):
    """Hard swish: shape -> shape; silu by a ramp in the place of the sigmoid.

    y = x * min(max(x + 3, 0), 6) / 6; dx = 0 below -3, dy above 3, and dy * (x / 3 + 1/2) between.
    Source: Howard et al., Searching for MobileNetV3 (2019).

    >>> import numpy as np
    >>> HardSwish().forward(np.array([[-4.0, 0.0, 1.5, 4.0]]), {}, Context())[0]
    array([[-0.   ,  0.   ,  1.125,  4.   ]])
    """

    type: Literal["hard_swish"] = "hard_swish"
    synonyms: ClassVar[Synonyms] = {"hard_swish": "hswish hardsilu"}

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = hard_swish(x, ctx.scratch)
        return y, lambda dy: (back(dy), {})
