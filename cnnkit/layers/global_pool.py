"""Global pooling."""

from typing import ClassVar, Literal

import numpy as np

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms
from cnnkit.base.layer import image_shape


class GlobalPool(Layer):
    """The mean or the largest value of each channel: (C, H, W) -> (C,).

    Where several values tie, the first one (row by row) receives the gradient.

    Raises:
        ShapeError: input is not an image.

    >>> GlobalPool().output_shape((64, 7, 7))
    (64,)
    """

    type: Literal["global_pool"] = "global_pool"
    synonyms: ClassVar[Synonyms] = {
        "global_pool": "gap globalpooling globalavgpool globalaveragepool globalaveragepooling "
        "globalavgpool2d globalaveragepooling2d adaptiveavgpool adaptiveavgpool2d",
        'kind = "max"': "gmp globalmaxpool globalmaxpooling globalmaxpool2d globalmaxpooling2d "
        "adaptivemaxpool adaptivemaxpool2d",
    }
    kind: Literal["mean", "max"] = "mean"
    """What is kept of each channel."""

    def output_shape(self, shape: Shape) -> Shape:
        return (image_shape(shape)[0],)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        flat = x.reshape(*x.shape[:2], -1)
        if self.kind == "mean":
            share = x.dtype.type(1 / flat.shape[2])
            y = np.add.reduce(flat, axis=2) * share
        else:
            best = flat.argmax(axis=2, keepdims=True)
            y = np.take_along_axis(flat, best, axis=2)[:, :, 0]

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx = ctx.scratch.empty(flat.shape, x.dtype)
            if self.kind == "mean":
                dx[...] = (dy * share)[:, :, None]
            else:
                dx.fill(0)
                np.put_along_axis(dx, best, dy[:, :, None], axis=2)
            return dx.reshape(x.shape), {}

        return y, backward
