"""What the textbook loops loop over: the windows of a map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from cnnkit.arrays import Array

from cnnkit_bench.network import Op


def groups(x: Array, W: Array, groups: int) -> Iterator[tuple[Array, slice]]:
    """Yield each group's channels, a view, and its filters."""
    filters, channels = len(W) // groups, W.shape[1]
    for g in range(groups):
        yield x[g * channels : (g + 1) * channels], slice(g * filters, (g + 1) * filters)


def correlate(x: Array, W: Array, op: Op) -> Array:
    y = np.empty((len(W), *positions(x, op.options["kernel"], op)), x.dtype)
    for i, j, window in windows(x, op.options["kernel"], op):
        y[:, i, j] = (W * window).sum((1, 2, 3))
    return y


def uncorrelate(dy: Array, x: Array, W: Array, dW: Array, dx: Array, op: Op) -> None:
    """Add to dW and dx what every output position sends back."""
    kernel = op.options["kernel"]
    for (i, j, window), (_, _, d) in zip(
        windows(x, kernel, op), windows(dx, kernel, op), strict=True
    ):
        slope = dy[:, i, j, None, None, None]
        dW += slope * window
        d += (slope * W).sum(0)


def positions(x: Array, size: tuple[int, int], op: Op) -> tuple[int, int]:
    dilation = op.options.get("dilation", (1, 1))
    axes = zip(x.shape[1:], size, op.options["stride"], dilation, strict=True)
    down, across = ((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in axes)
    return down, across


def windows(x: Array, size: tuple[int, int], op: Op) -> Iterator[tuple[int, int, Array]]:
    """Yield (row, column, window), the window a view of x, for every output position."""
    (sh, sw), (dh, dw) = op.options["stride"], op.options.get("dilation", (1, 1))
    down, across = positions(x, size, op)
    for i in range(down):
        for j in range(across):
            rows = slice(i * sh, i * sh + dh * (size[0] - 1) + 1, dh)
            columns = slice(j * sw, j * sw + dw * (size[1] - 1) + 1, dw)
            yield i, j, x[:, rows, columns]
