"""Leaky rectified linear unit."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms


class LeakyRelu(Layer):
    """Leaky rectified linear unit: shape -> shape; ReLU that lets a little through below zero.

    y = x where x > 0, else slope * x; dx likewise. The default is PyTorch's; Keras's slope is 0.3.
    Source: Maas et al., Rectifier Nonlinearities Improve Neural Network Acoustic Models (2013).

    >>> LeakyRelu(slope=0.25).forward(np.array([[-1.0, 2.0]]), {}, Context())[0]
    array([[-0.25,  2.  ]])
    """

    type: Literal["leaky_relu"] = "leaky_relu"
    synonyms: ClassVar[Synonyms] = {
        "leaky_relu": "lrelu leakyrectify",
        "slope": "negativeslope alpha leak",
    }
    slope: Annotated[float, Field(ge=0, le=1)] = 0.01
    """What negative values are multiplied by."""

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y = np.multiply(x, self.slope, out=ctx.scratch.empty(x.shape, x.dtype))
        np.maximum(x, y, out=y)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx = np.multiply(dy, self.slope, out=ctx.scratch.empty(x.shape, x.dtype))
            np.copyto(dx, dy, where=x > 0)
            return dx, {}

        return y, backward
