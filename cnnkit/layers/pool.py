"""Pooling."""

from __future__ import annotations

from typing import ClassVar, Literal

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Pair
from cnnkit.base.component import Synonyms
from cnnkit.base.layer import image_shape, sized
from cnnkit.errors import ShapeError
from cnnkit.kernels import pool

_KERNELS = {"max": pool.max_pool, "min": pool.min_pool, "mean": pool.mean_pool}


class Pool(Layer):
    """The largest, smallest or mean value of each window: (C, H, W) -> (C, H', W').

    H' = (H - size) // stride + 1; rows and columns that fill no whole window are left out. Where
    several values tie, the first one (row by row) receives the gradient.

    Raises:
        ShapeError: input is not an image, or smaller than a window.

    >>> Pool(size=3, stride=2).output_shape((6, 28, 28))
    (6, 13, 13)
    """

    type: Literal["pool"] = "pool"
    synonyms: ClassVar[Synonyms] = {
        "pool": "maxpool maxpooling maxpool2d maxpooling2d pooling pool2d",
        'kind = "mean"': "avgpool avgpooling avgpool2d averagepool averagepooling averagepooling2d "
        "meanpool",
        'kind = "min"': "minpool",
    }
    kind: Literal["max", "min", "mean"] = "max"
    """What is kept of each window."""
    size: Pair = (2, 2)
    """Side of the window, or [height, width]."""
    stride: Pair | None = None
    """Step between windows, or [down, across]; without it, the size: windows touch."""

    def output_shape(self, shape: Shape) -> Shape:
        C, H, W = image_shape(shape)
        if self.size[0] > H or self.size[1] > W:
            raise self._too_large(H, W)
        (h, w), (down, across) = self.size, self.stride or self.size
        return C, (H - h) // down + 1, (W - w) // across + 1

    def _too_large(self, H: int, W: int) -> ShapeError:
        is_square = self.size[0] == self.size[1]
        window = sized(*self.size, "window")
        return ShapeError(
            f"cannot pool its input: {window} does not fit {sized(H, W, 'map')}",
            option="size",
            expected=f"size <= {min(H, W) if is_square else f'{H}x{W}'}",
            help="use a smaller size, or drop a pool before it",
        )

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        kernel, stride = _KERNELS[self.kind], self.stride or self.size
        y, back = kernel(x, self.size, stride, ctx.scratch, ctx.wants_dx)
        return y, lambda dy: (back(dy), {})
