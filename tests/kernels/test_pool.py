"""Pooling against one loop per window: overlaps, gaps and ties included."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cnnkit.arrays import Arena, Scratch
from cnnkit.kernels import pool

POOLS = {"max": pool.max_pool, "min": pool.min_pool, "mean": pool.mean_pool}
WINDOWS = [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((2, 2), (3, 3)), ((1, 1), (1, 1)), ((2, 3), (1, 4)),
           ((3, 2), (3, 1)), ((5, 5), (5, 5)), ((2, 2), (1, 1)), ((1, 2), (2, 2))]  # fmt: skip
SIZES = [(5, 5), (8, 6), (7, 10)]


def draw(shape, dtype, seed, ties):
    rng = np.random.default_rng(seed)
    wide = (*shape[:3], 2 * shape[3])
    values = rng.integers(-1, 2, wide) if ties else rng.standard_normal(wide)
    return values.astype(dtype)[..., ::2]  # non-contiguous


def slow_pool(x, size, stride, kind, dy):
    """Return y, dx for dy; x (N, C, H, W), one window of one map at a time."""
    y, dx = np.zeros_like(dy), np.zeros_like(x)
    for n, c, i, j in np.ndindex(dy.shape):
        rows = slice(i * stride[0], i * stride[0] + size[0])
        columns = slice(j * stride[1], j * stride[1] + size[1])
        window = x[n, c, rows, columns]
        if kind == "mean":
            y[n, c, i, j] = window.mean()
            dx[n, c, rows, columns] += dy[n, c, i, j] / window.size
        else:
            best = window.argmax() if kind == "max" else window.argmin()  # the first of equals
            y[n, c, i, j] = window.flat[best]
            down, right = divmod(int(best), size[1])
            dx[n, c, i * stride[0] + down, j * stride[1] + right] += dy[n, c, i, j]
    return y, dx


def check(kind, x, size, stride, scratch):
    y, backward = POOLS[kind](x, size, stride, scratch)
    dy = draw(y.shape, x.dtype, 7, ties=False)
    before, dbefore = x.copy(), dy.copy()
    dx = backward(dy)
    want_y, want_dx = slow_pool(x, size, stride, kind, dy)
    assert y.dtype == dx.dtype == x.dtype
    bound = 1e-12 if x.dtype == np.float64 else 2e-6
    np.testing.assert_allclose(y, want_y, rtol=0, atol=bound)
    np.testing.assert_allclose(dx, want_dx, rtol=0, atol=bound)
    assert np.array_equal(x, before)
    assert np.array_equal(POOLS[kind](x, size, stride, scratch, wants_dx=False)[0], y)
    assert np.array_equal(dy, dbefore)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize(("size", "stride"), WINDOWS)
def test_pool_equals_the_slow_loop(kind, size, stride, dtype):
    arena = Arena()
    for seed, (shape, ties) in enumerate(itertools.product(SIZES, [False, True])):
        for N, scratch in [(1, arena), (3, arena), (3, Scratch())]:
            arena.reset()
            check(kind, draw((N, 2, *shape), dtype, seed, ties), size, stride, scratch)


def test_a_tied_maximum_pays_the_first_only():
    x = np.array([[[[1.0, 1.0], [1.0, 0.0]]]])
    _, backward = pool.max_pool(x, (2, 2), (2, 2), Scratch())
    np.testing.assert_array_equal(backward(np.ones((1, 1, 1, 1))), [[[[1, 0], [0, 0]]]])


PADDED = [  # size, stride, ((top, bottom), (left, right)), how many of these cells a mean counts
    ((3, 3), (2, 2), ((1, 1), (1, 1)), ((0, 0), (0, 0))),
    ((3, 3), (2, 2), ((1, 1), (1, 1)), ((1, 1), (1, 1))),
    ((2, 2), (2, 2), ((1, 0), (0, 1)), ((0, 0), (0, 0))),
    ((2, 3), (1, 2), ((0, 1), (2, 1)), ((0, 1), (1, 0))),
    ((4, 3), (3, 4), ((3, 2), (0, 2)), ((2, 0), (0, 1))),
]


def slow_padded(kind, x, size, stride, sides, counted, dy):
    """Return y and dx for dy, the cells of each window listed one by one."""
    y, dx = np.zeros_like(dy), np.zeros_like(x)
    (top, _), (left, _), (H, W) = *sides, x.shape[2:]
    (above, below), (before, behind) = counted
    for n, c, i, j in np.ndindex(dy.shape):
        rows = [i * stride[0] - top + a for a in range(size[0])]
        columns = [j * stride[1] - left + b for b in range(size[1])]
        cells = [(r, k) for r in rows for k in columns]
        real = [(r, k) for r, k in cells if 0 <= r < H and 0 <= k < W]
        values = [x[n, c, r, k] for r, k in real]
        if kind == "mean":
            count = sum(-above <= r < H + below and -before <= k < W + behind for r, k in cells)
            y[n, c, i, j] = sum(values) / count
            for r, k in real:
                dx[n, c, r, k] += dy[n, c, i, j] / count
        else:
            best = (max if kind == "max" else min)(range(len(values)), key=values.__getitem__)
            y[n, c, i, j] = values[best]
            dx[n, c, *real[best]] += dy[n, c, i, j]
    return y, dx


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize(("size", "stride", "sides", "counted"), PADDED)
def test_padded_pool_equals_the_slow_loop(kind, size, stride, sides, counted, dtype):
    arena = Arena()
    for seed, ties in enumerate([False, True]):
        arena.reset()
        x = draw((2, 3, 5, 7), dtype, seed, ties)
        y, backward = pool.padded_pool(kind, x, size, stride, sides, counted, arena)
        dy = draw(y.shape, dtype, 7, ties=False)
        dx = backward(dy)
        want_y, want_dx = slow_padded(kind, x, size, stride, sides, counted, dy)
        assert y.dtype == dx.dtype == dtype
        bound = 1e-12 if dtype == np.float64 else 2e-6
        np.testing.assert_allclose(y, want_y, rtol=0, atol=bound)
        np.testing.assert_allclose(dx, want_dx, rtol=0, atol=bound)
