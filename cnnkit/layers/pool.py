"""Pooling."""

from typing import ClassVar, Literal

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Pair, PairOrNone, Synonyms, default
from cnnkit.base.layer import image_shape
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
    size: Pair = default((2, 2))
    """Side of the window, or [height, width]."""
    stride: PairOrNone = default(None)
    """Step between windows, or [down, across]; without it, the size: windows touch."""

    def output_shape(self, shape: Shape) -> Shape:
        C, H, W = image_shape(shape)
        (h, w), (down, across) = self.size, self.stride or self.size
        if h > H or w > W:
            raise ShapeError(
                f"cannot pool its input: the {h}x{w} window does not fit the {H}x{W} map",
                option="size",
                expected=f"size <= {min(H, W) if h == w else f'{H}x{W}'}",
                help="use a smaller size, or drop a pool before it",
            )
        return C, (H - h) // down + 1, (W - w) // across + 1

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        kernel, stride = _KERNELS[self.kind], self.stride or self.size
        y, back = kernel(x, self.size, stride, ctx.scratch, ctx.wants_dx)
        return y, lambda dy: (back(dy), {})
