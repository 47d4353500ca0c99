"""Pooling over (h, w) windows: floor rule, no padding; windows may overlap or leave gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels import pool_pairs
from cnnkit.kernels.geometry import output_length

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
        return pool_pairs.pool(pick, keeps, x, scratch, wants_dx)
    shape = _output_shape(x, size, stride)
    y = scratch.empty(shape, x.dtype)
    views = _views(x, size, stride)
    y[...] = next(views)
    for view in views:
        pick(y, view, out=y)

    def backward(dy: Array) -> Array:
        dx = scratch.empty(x.shape, x.dtype)
        dx.fill(0)
        free = scratch.temp(20, shape, bool)  # windows whose extreme has not been met yet
        hit = scratch.temp(21, shape, bool)
        part = scratch.temp(22, shape, x.dtype)
        free.fill(True)
        for view, dview in zip(_views(x, size, stride), _views(dx, size, stride), strict=True):
            np.equal(view, y, out=hit)
            hit &= free
            free ^= hit
            dview += np.multiply(dy, hit, out=part)
        return dx

    return y, backward


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
        part = np.multiply(dy, share, out=scratch.temp(20, y.shape, x.dtype))
        for dview in _views(dx, size, stride):
            dview += part
        return dx

    return y, backward


def _output_shape(x: Array, size: Pair, stride: Pair) -> tuple[int, int, int, int]:
    N, C, H, W = x.shape
    none = (0, 0)
    return (
        N,
        C,
        output_length(H, size[0], stride[0], 1, none),
        output_length(W, size[1], stride[1], 1, none),
    )


def _views(x: Array, size: Pair, stride: Pair) -> Iterator[Array]:
    """View the k-th cell of every window, for each cell in row-major order: (N, C, H', W')."""
    _, _, H, W = _output_shape(x, size, stride)
    (h, w), (sh, sw) = size, stride
    for top in range(h):
        for left in range(w):
            rows = slice(top, top + (H - 1) * sh + 1, sh)
            yield x[:, :, rows, left : left + (W - 1) * sw + 1 : sw]
