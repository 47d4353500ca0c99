"""Layer normalisation."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms, Weight
from cnnkit.kernels.norm import layer_norm


class LayerNorm(Layer):
    """Layer normalisation: shape -> shape; each sample by itself, alike in training and after.

    y = gamma * (x - mean) / sqrt(variance + eps) + beta, with a gamma and a beta for each channel.
    Mean and variance are those of the C channels at each position of a map (C, H, W), as in Keras,
    or with over = "sample" those of all of it; of a vector, those of its values.
    eps is PyTorch's by default; Keras's is 0.001.
    Source: Ba et al., Layer Normalization (2016).

    >>> import numpy as np
    >>> w = {"gamma": np.ones(2), "beta": np.zeros(2)}
    >>> LayerNorm(eps=1e-12).forward(np.array([[1.0, 3.0]]), w, Context())[0].round(6)
    array([[-1.,  1.]])
    """

    type: Literal["layer_norm"] = "layer_norm"
    synonyms: ClassVar[Synonyms] = {
        "layer_norm": "ln layernormalization",
        'over = "sample"': "groupnorm groupnormalization",
    }
    over: Literal["channels", "sample"] = "channels"
    """What is normalised of a map: the channels at each position, or the whole sample."""
    eps: Annotated[float, Field(ge=1e-12, le=1)] = 1e-5
    """Added to the variance, so that a constant sample does not divide by zero."""

    def weights(self, shape: Shape) -> dict[str, Weight]:
        form = shape[:1]
        return {
            "gamma": Weight(form, 1.0, decays=False),
            "beta": Weight(form, 0.0, decays=False),
        }

    def kept(self, shape: Shape) -> int:
        return 2 * super().kept(shape)  # y, and x normalised

    def sees_all(self, shape: Shape) -> bool:
        return self.over == "sample" or len(shape) == 1

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        axes = (1,) if self.over == "channels" else tuple(range(1, x.ndim))
        y, back = layer_norm(x, w["gamma"], w["beta"], self.eps, axes, ctx.scratch)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, dgamma, dbeta = back(dy)
            return dx, {"gamma": dgamma, "beta": dbeta}

        return y, backward
