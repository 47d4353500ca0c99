"""Squeeze and excite: channels weighed by what the whole map holds."""

from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Positive, Synonyms, WeightTree
from cnnkit.base.layer import image_shape
from cnnkit.layers.dense import Dense
from cnnkit.layers.global_pool import GlobalPool
from cnnkit.layers.relu import Relu
from cnnkit.layers.sequential import Sequential
from cnnkit.layers.sigmoid import Sigmoid


class SqueezeExcite(Layer):
    """Channels weighed by what the whole map holds: (C, H, W) -> (C, H, W).

    y[c] = x[c] * s[c], where s = sigmoid(dense(relu(dense(mean of each channel)))), and the first
    dense layer has C / ratio units, rounded down, one at least.
    Source: Hu et al., Squeeze-and-Excitation Networks (2017), where the ratio is 16.

    Raises:
        ShapeError: input is not an image.

    >>> SqueezeExcite().macs((16, 8, 8))  # 16 * 4 + 4 * 16, and one for each value
    1152
    """

    type: Literal["squeeze_excite"] = "squeeze_excite"
    synonyms: ClassVar[Synonyms] = {
        "squeeze_excite": "se seblock squeezeexcitation squeezeandexcitation squeezeandexcite",
        "ratio": "reduction squeeze squeezeratio",
    }
    ratio: Positive = 4
    """How many times fewer units than channels the layer in the middle has."""

    def output_shape(self, shape: Shape) -> Shape:
        return image_shape(shape)

    def weights(self, shape: Shape) -> WeightTree:
        return _gate(shape[0], self.ratio).weights(shape)

    def macs(self, shape: Shape) -> int:
        return _gate(shape[0], self.ratio).macs(shape) + super().kept(shape)

    def sees_all(self, shape: Shape) -> bool:
        return True

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        s, gate_back = _gate(x.shape[1], self.ratio).forward(x, w, ctx._replace(wants_dx=True))
        y = np.multiply(x, s[:, :, None, None], out=ctx.scratch.empty(x.shape, x.dtype))

        def backward(dy: Array) -> tuple[Array, Weights]:
            part = np.multiply(dy, x, out=ctx.scratch.temp("squeeze_excite.part", x.shape, x.dtype))
            dx, grads = gate_back(part.sum((2, 3)))
            dx = np.add(dx, np.multiply(dy, s[:, :, None, None], out=part))
            return dx, grads

        return y, backward


@lru_cache(maxsize=256)
def _gate(channels: int, ratio: int) -> Sequential:
    """Return the layers from a map to a weight for each of its channels."""
    squeeze = Dense(units=max(1, channels // ratio))
    excite = Dense(units=channels, init="glorot")
    return Sequential(layers=[GlobalPool(), squeeze, Relu(), excite, Sigmoid()])
