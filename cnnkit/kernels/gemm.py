"""Batched GEMM cut to the sizes where OpenBLAS does not pack, and sums by products with ones.

Below these limits OpenBLAS multiplies in place, without copying its operands into panels first:
a (48, L) by (L, 48) gradient takes 41 us instead of 67, at L = 840. Larger ones only lose.
Source: OpenBLAS 0.3.31, kernel/x86_64/sgemm_small_kernel_permit_skylakex.c.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Scratch

_PRODUCT = 1_000_000  # m * k * n beyond which OpenBLAS packs
_RESULT = 1_200  # m * n beyond which it packs where the left side is transposed
_SHORTEST = 96  # columns: below it a cut product is no faster than a whole one
_DEEPEST = 400  # inner length from which the cut gradient is faster


@lru_cache(maxsize=256)
def _parts(size: int, most: int) -> int:
    """Return the fewest equal parts of `size` that are no longer than `most`."""
    return next((n for n in range(1, size + 1) if size % n == 0 and size // n <= most), size)


def product(M: Array, cols: Array, out: Array) -> None:
    """Write M (m, k) @ cols (N, k, L) into out (N, m, L); rows of cols and out are contiguous."""
    (m, k), (N, _, L) = M.shape, cols.shape
    parts = _parts(L, max(1, _PRODUCT // (m * k)))
    if parts == 1 or L // parts < _SHORTEST:
        np.matmul(M, cols, out=out)
        return
    cut = (parts, L // parts)
    left = cols.reshape(N, k, *cut).transpose(0, 2, 1, 3)
    np.matmul(M, left, out=_cut(out, cut).transpose(0, 2, 1, 3))


def _cut(out: Array, cut: tuple[int, int]) -> Array:
    """View (N, m, L) with padded rows as (N, m, *cut)."""
    N, m, _ = out.shape
    image, row, item = out.strides
    return np.lib.stride_tricks.as_strided(out, (N, m, *cut), (image, row, cut[1] * item, item))


def gradient(dout: Array, cols: Array, out: Array) -> None:
    """Write dout (N, m, L) @ cols.T, cols (N, k, L), into out (N, m, k); all contiguous."""
    (N, m, L), k = dout.shape, cols.shape[1]
    parts = _parts(m, max(1, min(_RESULT, _PRODUCT // L) // k))
    if parts == 1 or parts == m or L < _DEEPEST:
        np.matmul(dout, cols.transpose(0, 2, 1), out=out)
        return
    cut = (N, parts, m // parts)
    columns = cols.transpose(0, 2, 1)[:, None]  # (N, 1, L, k)
    np.matmul(dout.reshape(*cut, L), columns, out=out.reshape(*cut, k))


def total_gradient(dout: Array, cols: Array, scratch: Scratch) -> Array:
    """Sum dout @ cols.T over the images: (N, m, L) and (N, k, L) -> (m, k)."""
    each = scratch.temp("gemm.each", (len(cols), dout.shape[1], cols.shape[1]), cols.dtype)
    gradient(dout, cols, each)
    total: Array = np.add.reduce(each, axis=0)
    return total


@lru_cache(maxsize=64)
def ones(size: int, dtype: np.dtype[Any]) -> Array:
    """Return a read-only row of ones."""
    row = np.ones(size, dtype)
    row.flags.writeable = False
    return row
