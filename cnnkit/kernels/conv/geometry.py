"""The integers of a convolution: how a kernel walks over a map, and how long the result is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cnnkit.arrays import Array, Shape

ConvBackward = Callable[[Array], tuple[Array | None, Array, Array | None]]
"""dy (N, F, H', W') -> (dx or None where it is not wanted, dW, db or None)."""
Result = tuple[Array, ConvBackward]
"""What every route returns: y (N, F, H', W') and its backward."""


class ConvGeometry(NamedTuple):
    """How a kernel walks over a map; `padding` is ((top, bottom), (left, right)) zeros."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    groups: int

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Return (H', W') for a map of (height, width)."""
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        rows, columns = self.padding
        return output_length(height, kh, sh, dh, rows), output_length(width, kw, sw, dw, columns)


class Problem(NamedTuple):
    """What decides which route is the fastest."""

    shape: Shape  # (C, H, W)
    filters: int
    geometry: ConvGeometry
    wants_dx: bool


def output_length(size: int, kernel: int, stride: int, dilation: int, pad: tuple[int, int]) -> int:
    """Count the kernel positions along one axis; zero or less when the kernel does not fit.

    Source: the floor rule, https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html.
    """
    return (size + pad[0] + pad[1] - dilation * (kernel - 1) - 1) // stride + 1


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return the zeros (before, after) that make the output `ceil(size / stride)` long."""
    wanted = -(-size // stride)
    total = max(0, (wanted - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2  # the odd row goes to the end


def view(flat: Array, start: int, shape: Shape, steps: Shape) -> Array:
    """View a contiguous array from element `start` on, by steps counted in elements."""
    item = flat.itemsize
    return np.ndarray(shape, flat.dtype, flat, start * item, tuple([item * s for s in steps]))
