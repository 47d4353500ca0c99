"""Max and min pooling over 2x2 windows side by side: the window almost every network uses.

Left and right columns lie at every second element of the flat map, so they part by two long
strided copies; all comparisons then run over long contiguous rows, once, in forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Scratch


def pool(
    pick: Any, keeps: Any, x: Array, scratch: Scratch, wants_dx: bool = True
) -> tuple[Array, Callable[[Array], Array]]:
    """Pool x (N, C, H, W) -> (N, C, H // 2, W // 2); `keeps(a, b)` where `pick(a, b)` is a."""
    if not wants_dx:
        return _picked(pick, x, scratch), lambda dy: dy
    N, C, Ho, Wo = *x.shape[:2], x.shape[2] // 2, x.shape[3] // 2
    flat = x[:, :, : 2 * Ho, : 2 * Wo].reshape(-1)
    half, rows = flat.size // 2, N * C * Ho
    left = scratch.temp(21, (half,), x.dtype)
    right = scratch.temp(22, (half,), x.dtype)
    left[...], right[...] = flat[0::2], flat[1::2]
    is_left = keeps(left, right, out=scratch.empty((half,), bool))
    pick(left, right, out=left)
    pairs = left.reshape(rows, 2, Wo)  # the upper and the lower row of each window
    is_upper = keeps(pairs[:, 0], pairs[:, 1], out=scratch.empty((rows, Wo), bool))
    y = scratch.empty((N, C, Ho, Wo), x.dtype)
    pick(pairs[:, 0], pairs[:, 1], out=y.reshape(rows, Wo))

    def backward(dy: Array) -> Array:
        parts = scratch.temp(21, (2, rows, Wo), x.dtype)
        np.multiply(dy.reshape(rows, Wo), is_upper, out=parts[0])
        np.subtract(dy.reshape(rows, Wo), parts[0], out=parts[1])
        dpairs = scratch.temp(22, (rows, 2, Wo), x.dtype)
        dpairs[...] = parts.transpose(1, 0, 2)
        dflat = dpairs.reshape(half)
        dx = scratch.empty(x.shape, x.dtype)
        whole = dx.size == 2 * half  # an odd row or column is left out of every window
        out = dx.reshape(-1) if whole else scratch.temp(23, (2 * half,), x.dtype)
        np.multiply(dflat, is_left, out=out[0::2])
        np.subtract(dflat, out[0::2], out=out[1::2])
        if not whole:
            dx.fill(0)
            dx[:, :, : 2 * Ho, : 2 * Wo] = out.reshape(N, C, 2 * Ho, 2 * Wo)
        return dx

    return y, backward


def _picked(pick: Any, x: Array, scratch: Scratch) -> Array:
    """Pool without noting what was picked; whole rows first, which leaves half the pairs."""
    N, C, Ho, Wo = *x.shape[:2], x.shape[2] // 2, x.shape[3] // 2
    rows = scratch.temp(21, (N, C, Ho, 2 * Wo), x.dtype)
    upper, lower = (x[:, :, row : 2 * Ho : 2, : 2 * Wo] for row in (0, 1))
    flat = pick(upper, lower, out=rows).reshape(-1)
    y = scratch.empty((N, C, Ho, Wo), x.dtype)
    pick(flat[0::2], flat[1::2], out=y.reshape(-1))
    return y
