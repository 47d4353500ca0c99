"""Pooling."""

from typing import ClassVar, Literal

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Pair, PairOrNone, Synonyms, default
from cnnkit.base.layer import image_shape
from cnnkit.errors import ShapeError
from cnnkit.kernels import pool
from cnnkit.kernels.conv import output_length
from cnnkit.layers.padding import Padding, Sides, pads

_KERNELS = {"max": pool.max_pool, "min": pool.min_pool, "mean": pool.mean_pool}


class Pool(Layer):
    """The largest, smallest or mean value of each window: (C, H, W) -> (C, H', W').

    H' = (H + top + bottom - size) // stride + 1; rows and columns that fill no whole window are
    left out, or with `ceil` fill one that reaches beyond the map, as long as it begins in it. Where
    several values tie, the first one (row by row) receives the gradient. Padding is never the
    largest or the smallest. A mean is that of the real values in its window, as in Keras; with
    `count_padding` padding counts as zeros, as it does by default in PyTorch.

    Raises:
        ShapeError: input is not an image, or smaller than a window, or a window may hold nothing
            but padding.

    >>> Pool(size=3, stride=2).output_shape((6, 28, 28))
    (6, 13, 13)
    >>> Pool(size=3, stride=2, padding="same").output_shape((6, 28, 28))
    (6, 14, 14)
    """

    type: Literal["pool"] = "pool"
    synonyms: ClassVar[Synonyms] = {
        "pool": "maxpool maxpooling maxpool2d maxpooling2d pooling pool2d",
        'kind = "mean"': "avgpool avgpooling avgpool2d averagepool averagepooling averagepooling2d "
        "meanpool",
        'kind = "min"': "minpool",
        "ceil": "ceilmode",
        "count_padding": "countincludepad",
    }
    kind: Literal["max", "min", "mean"] = "max"
    """What is kept of each window."""
    size: Pair = default((2, 2))
    """Side of the window, or [height, width]."""
    stride: PairOrNone = default(None)
    """Step between windows, or [down, across]; without it, the size: windows touch."""
    padding: Padding = default("valid")
    """Room around the map, as for `conv`: "same" (H' = H/stride, rounded up), "valid" (none), or
    amounts smaller than the window."""
    ceil: bool = False
    """Whether a window may reach beyond the padded map, so that H' is rounded up."""
    count_padding: bool = False
    """Whether padding counts in a mean, as zeros."""

    def _steps(self) -> tuple[int, int]:
        return self.stride or self.size

    def _padding(self, shape: Shape) -> Sides:
        return pads(self.padding, shape[1:], self.size, self._steps(), (1, 1))

    def _reach(self, shape: Shape) -> Sides:
        """Return the padding, with what windows reach beyond it at the bottom and right."""
        if not self.ceil:
            return self._padding(shape)
        sides, size, steps = self._padding(shape), self.size, self._steps()
        lengths = self._lengths(shape)
        rows, columns = (
            (
                sides[a][0],
                max(sides[a][1], (n - 1) * steps[a] + size[a] - sides[a][0] - shape[a + 1]),
            )
            for a, n in enumerate(lengths)
        )
        return rows, columns

    def _lengths(self, shape: Shape) -> tuple[int, int]:
        """Return (H', W'). Source: torch/include/ATen/native/Pool.h, pooling_output_shape."""
        sides, steps, found = self._padding(shape), self._steps(), []
        for axis, (size, step) in enumerate(zip(self.size, steps, strict=True)):
            length, (before, after) = shape[axis + 1], sides[axis]
            room = after + (step - 1) * self.ceil
            count = output_length(length, size, step, 1, (before, room))
            found.append(count - (self.ceil and (count - 1) * step >= length + before))
        return found[0], found[1]

    def output_shape(self, shape: Shape) -> Shape:
        C, H, W = image_shape(shape)
        (h, w), (rows, columns) = self.size, self._padding(shape)
        if max(rows) >= h or max(columns) >= w:
            raise ShapeError(
                f"cannot pool its input: a {h}x{w} window may hold nothing but padding",
                option="padding",
                expected=f"padding < {h if h == w else f'{h} and {w}'}",
                help="use less padding, or a larger size",
            )
        H, W = H + sum(rows), W + sum(columns)
        if h > H or w > W:
            raise ShapeError(
                f"cannot pool its input: the {h}x{w} window does not fit the {H}x{W} map",
                option="size",
                expected=f"size <= {min(H, W) if h == w else f'{H}x{W}'}",
                help="use a smaller size, or drop a pool before it",
            )
        return C, *self._lengths(shape)

    def kept(self, shape: Shape) -> int:
        (top, bottom), (left, right) = self._reach(shape)
        padded = (shape[1] + top + bottom) * (shape[2] + left + right)
        return super().kept(shape) + shape[0] * padded * any((top, bottom, left, right))

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        kernel, window = _KERNELS[self.kind], (self.size, self._steps())
        sides = self._reach(x.shape[1:])
        if not any(map(any, sides)):
            y, back = kernel(x, *window, ctx.scratch, ctx.wants_dx)
        else:
            counted = self._padding(x.shape[1:]) if self.count_padding else ((0, 0), (0, 0))
            y, back = pool.padded_pool(self.kind, x, *window, sides, counted, ctx.scratch)
        return y, lambda dy: (back(dy), {})
