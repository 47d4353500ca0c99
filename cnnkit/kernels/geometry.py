"""The integers of a convolution: how a kernel walks over a map, and how long the result is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cnnkit.arrays import Array

ConvBackward = Callable[[Array], tuple[Array | None, Array, Array | None]]
"""dy (N, F, H', W') -> (dx or None where it is not wanted, dW, db or None)."""


@dataclass(frozen=True)
class ConvGeometry:
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
