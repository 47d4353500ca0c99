"""Pooling over (h, w) windows by the floor rule; windows may overlap or leave gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels.conv.geometry import output_length

Pair = tuple[int, int]
Backward = Callable[[Array], Array]


def max_pool(
    x: Array, size: Pair, stride: Pair, scratch: Scratch, wants_dx: bool = True
) -> tuple[Array, Backward]:
    """Keep each window's maximum: (N, C, H, W) -> (N, C, H', W'); the first of equals gets dy."""
    return _extreme_pool(np.maximum, np.greater_equal, x, size, stride, scratch, wants_dx)


def min_pool(
    x: Array, size: Pair, stride: Pair, scratch: Scratch, wants_dx: bool = True
) -> tuple[Array, Backward]:
    """Keep each window's minimum: (N, C, H, W) -> (N, C, H', W'); the first of equals gets dy."""
    return _extreme_pool(np.minimum, np.less_equal, x, size, stride, scratch, wants_dx)


def _extreme_pool(
    pick: Any, keeps: Any, x: Array, size: Pair, stride: Pair, scratch: Scratch, wants_dx: bool
) -> tuple[Array, Backward]:
    if size == stride == (2, 2):
        return _pool_pairs(pick, keeps, x, scratch, wants_dx)
    shape = _output_shape(x, size, stride)
    y = scratch.empty(shape, x.dtype)
    views = _views(x, size, stride)
    y[...] = next(views)
    for view in views:
        pick(y, view, out=y)

    def backward(dy: Array) -> Array:
        dx = scratch.empty(x.shape, x.dtype)
        dx.fill(0)
        free = scratch.temp("pool.free", shape, bool)  # windows whose extreme has not been met yet
        hit = scratch.temp("pool.hit", shape, bool)
        part = scratch.temp("pool.part", shape, x.dtype)
        free.fill(True)
        for view, dview in zip(_views(x, size, stride), _views(dx, size, stride), strict=True):
            np.equal(view, y, out=hit)
            hit &= free
            free ^= hit
            dview += np.multiply(dy, hit, out=part)
        return dx

    return y, backward


def _pool_pairs(
    pick: Any, keeps: Any, x: Array, scratch: Scratch, wants_dx: bool = True
) -> tuple[Array, Backward]:
    """Pool 2x2 windows side by side, which almost every network uses: -> (N, C, H // 2, W // 2).

    `keeps(a, b)` where `pick(a, b)` is a. Left and right columns lie at every second element of
    the flat map, so they part by two long strided copies; all comparisons then run over long
    contiguous rows, once, in forward.
    """
    if not wants_dx:
        return _picked(pick, x, scratch), lambda dy: dy
    N, C, Ho, Wo = *x.shape[:2], x.shape[2] // 2, x.shape[3] // 2
    flat = x[:, :, : 2 * Ho, : 2 * Wo].reshape(-1)
    half, rows = flat.size // 2, N * C * Ho
    left = scratch.temp("pool.left", (half,), x.dtype)
    right = scratch.temp("pool.right", (half,), x.dtype)
    left[...], right[...] = flat[0::2], flat[1::2]
    is_left = keeps(left, right, out=scratch.empty((half,), bool))
    pick(left, right, out=left)
    pairs = left.reshape(rows, 2, Wo)  # the upper and the lower row of each window
    is_upper = keeps(pairs[:, 0], pairs[:, 1], out=scratch.empty((rows, Wo), bool))
    y = scratch.empty((N, C, Ho, Wo), x.dtype)
    pick(pairs[:, 0], pairs[:, 1], out=y.reshape(rows, Wo))

    def backward(dy: Array) -> Array:
        parts = scratch.temp("pool.left", (2, rows, Wo), x.dtype)
        np.multiply(dy.reshape(rows, Wo), is_upper, out=parts[0])
        np.subtract(dy.reshape(rows, Wo), parts[0], out=parts[1])
        dpairs = scratch.temp("pool.right", (rows, 2, Wo), x.dtype)
        dpairs[...] = parts.transpose(1, 0, 2)
        dflat = dpairs.reshape(half)
        dx = scratch.empty(x.shape, x.dtype)
        whole = dx.size == 2 * half  # an odd row or column is left out of every window
        out = dx.reshape(-1) if whole else scratch.temp("pool.dx", (2 * half,), x.dtype)
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
    rows = scratch.temp("pool.left", (N, C, Ho, 2 * Wo), x.dtype)
    upper, lower = (x[:, :, row : 2 * Ho : 2, : 2 * Wo] for row in (0, 1))
    flat = pick(upper, lower, out=rows).reshape(-1)
    y = scratch.empty((N, C, Ho, Wo), x.dtype)
    pick(flat[0::2], flat[1::2], out=y.reshape(-1))
    return y


def mean_pool(
    x: Array, size: Pair, stride: Pair, scratch: Scratch, wants_dx: bool = True
) -> tuple[Array, Backward]:
    """Average each window: (N, C, H, W) -> (N, C, H', W')."""
    y = scratch.empty(_output_shape(x, size, stride), x.dtype)
    views = _views(x, size, stride)
    y[...] = next(views)
    for view in views:
        y += view
    share = 1.0 / (size[0] * size[1])
    y *= share

    def backward(dy: Array) -> Array:
        dx = scratch.empty(x.shape, x.dtype)
        dx.fill(0)
        part = np.multiply(dy, share, out=scratch.temp("pool.part", y.shape, x.dtype))
        for dview in _views(dx, size, stride):
            dview += part
        return dx

    return y, backward


Sides = tuple[Pair, Pair]
"""((top, bottom), (left, right))."""
_FILLS = {"max": -np.inf, "min": np.inf, "mean": 0.0}


def padded_pool(
    kind: str, x: Array, size: Pair, stride: Pair, sides: Sides, counted: Sides, scratch: Scratch
) -> tuple[Array, Backward]:
    """Pool x (N, C, H, W) with `sides` of room around it, which no extreme is taken from.

    A mean is that of the values in its window that lie on the map or `counted` cells around it.
    """
    (N, C, H, W), ((top, bottom), (left, right)) = x.shape, sides
    wide = scratch.empty((N, C, H + top + bottom, W + left + right), x.dtype)
    wide.fill(_FILLS[kind])
    inner = np.s_[:, :, top : top + H, left : left + W]
    wide[inner] = x
    kernel = {"max": max_pool, "min": min_pool, "mean": mean_pool}[kind]
    y, back = kernel(wide, size, stride, scratch)
    weigh = kind == "mean"
    if weigh:
        along = zip((H, W), size, stride, sides, counted, y.shape[2:], strict=True)
        rows, columns = (_shares(*axis) for axis in along)
        shares = np.outer(rows, columns).astype(x.dtype)
        y *= shares

    def backward(dy: Array) -> Array:
        dwide = back(dy * shares if weigh else dy)
        return np.ascontiguousarray(dwide[inner])

    return y, backward


def _shares(length: int, size: int, step: int, sides: Pair, counted: Pair, windows: int) -> Array:
    """Return the size of each window along an axis over the cells of it that count."""
    starts = np.arange(windows) * step - sides[0]
    ends = np.minimum(starts + size, length + counted[1])
    shares: Array = size / (ends - np.maximum(starts, -counted[0]))
    return shares


def _output_shape(x: Array, size: Pair, stride: Pair) -> tuple[int, int, int, int]:
    (N, C, H, W), (h, w), (sh, sw) = x.shape, size, stride
    return N, C, output_length(H, h, sh, 1, (0, 0)), output_length(W, w, sw, 1, (0, 0))


def _views(x: Array, size: Pair, stride: Pair) -> Iterator[Array]:
    """View the k-th cell of every window, for each cell in row-major order: (N, C, H', W')."""
    _, _, H, W = _output_shape(x, size, stride)
    (h, w), (sh, sw) = size, stride
    for top in range(h):
        for left in range(w):
            rows = slice(top, top + (H - 1) * sh + 1, sh)
            yield x[:, :, rows, left : left + (W - 1) * sw + 1 : sw]
