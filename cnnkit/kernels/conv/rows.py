"""Convolution of stride 1 by long rows: a map is one flat row of pitch P = W + padding.

One row's right zeros are the next row's left zeros, so a shift by a kernel column or a kernel
row is one long copy, and what wraps around is zero. A row of ones below the columns carries the
bias forward and collects its gradient backward.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels import gemm
from cnnkit.kernels.conv.geometry import ConvGeometry, Result, view

_BLOCK = 2_000_000  # bytes of one block: it stays in the cache, and few blocks mean few calls


class Walk(NamedTuple):
    """How a map, flat among zeros, is copied once per kernel cell; all counts are elements."""

    start: int  # of the map among the zeros
    room: int  # of both together
    first: int  # where the first cell's copy begins
    steps: tuple[int, ...]  # from one cell's copy to the next's


class Plan(NamedTuple):
    """The integers of one call."""

    H: int
    W: int
    Ho: int
    Wo: int
    P: int  # step from one row of a map to the next
    L: int  # length of a map of H rows
    left: int
    top: int
    gap: int  # zeros after a map of L, before the next
    down: int  # step from one kernel row to the next
    right: int  # step from one kernel column to the next
    columns: Walk  # of x over the kernel's columns
    cells: Walk  # of x over the kernel's rows and columns
    rows: Walk  # of dy over the kernel's rows, where each took its part


def fits(geometry: ConvGeometry) -> bool:
    """Tell whether the layout serves: stride 1, one group, no padding beyond `full`."""
    (top, bottom), (left, right) = geometry.padding
    (kh, kw), (dh, dw) = geometry.kernel, geometry.dilation
    return (
        geometry.stride == (1, 1)
        and geometry.groups == 1
        and top % dh == 0
        and top + bottom <= dh * (kh - 1)
        and max(left, right) <= dw * (kw - 1)
    )


@lru_cache(maxsize=256)
def _plan(H: int, W: int, geometry: ConvGeometry) -> Plan:
    (top, bottom), (left, right) = geometry.padding
    (Ho, Wo), (dh, dw) = geometry.output(H, W), geometry.dilation
    P = W + max(left, right)
    L, down = H * P, dh * P
    below, across = (geometry.kernel[0] - 1) * down, (geometry.kernel[1] - 1) * dw
    columns = Walk(left, L + across, 0, (dw,))
    cells = Walk(top * P + left, Ho * P + below + across, 0, (down, dw))
    rows = Walk(below - top * P, L + below, below, (-down,))
    sizes = (H, W, Ho, Wo, P, L, left, top, max(top, bottom) * P, down, dw)
    return Plan(*sizes, columns, cells, rows)


def shift(
    x: Array, W: Array, b: Array | None, geometry: ConvGeometry, scratch: Scratch, wants_dx: bool
) -> Result:
    """Unroll the kernel's width, add its rows: the fastest for few channels on large maps.

    One GEMM per image serves all kernel rows at once and stays small enough for the BLAS kernel
    that packs nothing. A product with ones then adds the kernel rows, each shifted by whole rows
    of the map: one call, and no buffering as in a ufunc over views.
    """
    N, (F, C, kh, kw), p = len(x), W.shape, _plan(*x.shape[2:], geometry)
    K, center = kw * C, p.top * p.P // p.down  # the kernel row that meets every output row
    M = _stack(W, b, center, scratch)  # (kh*F, K and the bias)
    y = scratch.empty((N, F, p.Ho, p.Wo), x.dtype)
    blocks = _blocks(N, sum(M.shape) * p.L * x.itemsize)
    alone, room = len(blocks) == 1, (blocks[0].stop, M.shape[1], p.L)

    def fill(room: Array, part: slice) -> Array:  # (n, K and the ones, L)
        n = len(maps := x[part])
        cols = room[:n]
        _unroll(maps, cols[:, :K].reshape(n, kw, C, p.L), p.columns, p.P, scratch)
        cols[:, K:] = 1
        return cols

    # One block's columns are kept for backward; of several, each is made again.
    cols = scratch.empty(room, x.dtype) if alone else scratch.temp("conv.cols", room, x.dtype)
    for part in blocks:
        _add_rows(M, fill(cols, part), y[part], kh, p, scratch)

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dx = scratch.empty(x.shape, x.dtype) if wants_dx else None
        each = scratch.temp("conv.each", (N, *M.shape), x.dtype)
        again = cols if alone else scratch.temp("conv.cols", room, x.dtype)
        for part in blocks:
            n = len(dmaps := dy[part])
            dout = scratch.temp("conv.out", (n, kh * F, p.L), x.dtype)
            _unroll(dmaps, dout.reshape(n, kh, F, p.L), p.rows, p.P, scratch)
            gemm.gradient(dout, cols if alone else fill(again, part), each[part])
            if dx is not None:
                _add_columns(M[:, :K].T, dout, dx[part], kw, p, scratch)
        dM = np.add.reduce(each, axis=0)
        dW = scratch.empty(W.shape, x.dtype)
        dW[...] = dM[:, :K].reshape(kh, F, kw, C).transpose(1, 3, 0, 2)
        return dx, dW, None if b is None else dM[center * F : (center + 1) * F, K]

    return y, backward


def unroll(
    x: Array, W: Array, b: Array | None, geometry: ConvGeometry, scratch: Scratch, wants_dx: bool
) -> Result:
    """Unroll the kernel's rows as well: for one to three channels, where nobody asks for dx.

    That is cheaper then than writing and adding one result per kernel row. The gradient of x
    takes the way of `shift`.
    """
    N, (F, C, kh, kw), p = len(x), W.shape, _plan(*x.shape[2:], geometry)
    K, L, tied = W[0].size, p.Ho * p.P, b is not None
    M = scratch.empty((F, K + tied), x.dtype)
    M[:, :K].reshape(F, kh, kw, C)[...] = W.transpose(0, 2, 3, 1)
    cols = scratch.empty((N, K + tied, L), x.dtype)
    cells = cols[:, :K].reshape(N, kh, kw, C, L)
    _unroll(x, cells, p.cells, p.P, scratch)
    if b is not None:
        M[:, K], cols[:, K] = b, 1
    out = scratch.temp("conv.out", (N, F, L), x.dtype)
    gemm.product(M, cols, out)
    y = scratch.empty((N, F, p.Ho, p.Wo), x.dtype)
    y[...] = out.reshape(N, F, p.Ho, p.P)[..., : p.Wo]

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dout = scratch.temp("conv.out", (N, F, p.Ho, p.P), x.dtype)
        dout[..., : p.Wo] = dy
        dout[..., p.Wo :] = 0
        dM = gemm.total_gradient(dout.reshape(N, F, L), cols, scratch)
        dW = scratch.empty(W.shape, x.dtype)
        dW[...] = dM[:, :K].reshape(F, kh, kw, C).transpose(0, 3, 1, 2)
        dx = None
        if wants_dx:
            Mt = np.ascontiguousarray(W.transpose(3, 1, 2, 0)).reshape(kw * C, kh * F)
            rows = scratch.temp("conv.out", (N, kh, F, p.L), x.dtype)
            _unroll(dy, rows, p.rows, p.P, scratch)
            dx = scratch.empty(x.shape, x.dtype)
            _add_columns(Mt, rows.reshape(N, kh * F, p.L), dx, kw, p, scratch)
        return dx, dW, None if b is None else dM[:, K]

    return y, backward


def _stack(W: Array, b: Array | None, center: int, scratch: Scratch) -> Array:
    """Lay out the kernels for one GEMM: (kh*F, kw*C and a column for each row of ones)."""
    F, C, kh, kw = W.shape
    K, ones_below = kw * C, int(b is not None)
    # A second row of ones where a multiple of 4 lacks one: 32 columns of a gradient take OpenBLAS
    # for AVX2 28 us, and 31 take it 37.
    ones_below += (K + ones_below) % 4 == 3
    M = scratch.empty((kh * F, K + ones_below), W.dtype)
    M[:, :K].reshape(kh, F, kw, C)[...] = W.transpose(2, 0, 3, 1)
    M[:, K:] = 0
    if b is not None:
        M[center * F : (center + 1) * F, K] = b
    return M


def _blocks(N: int, size: int) -> list[slice]:
    """Cut N images, each of `size` bytes of columns and results, into even blocks."""
    count = -(-N * size // _BLOCK)
    step = -(-N // count)
    return [slice(start, start + step) for start in range(0, N, step)]


def _unroll(x: Array, out: Array, walk: Walk, P: int, scratch: Scratch) -> None:
    """Copy maps x (n, C, ...), in rows of pitch P, once per kernel cell: (n, *cells, C, L)."""
    (n, C, *_), (start, room, first, steps) = x.shape, walk
    padded = scratch.temp("conv.padded", (n, C, room), x.dtype)
    padded.fill(0)
    view(padded, start, x.shape, (C * room, room, P, 1))[...] = x
    out[...] = view(padded, first, out.shape, (C * room, *steps, room, 1))


def _add_rows(M: Array, cols: Array, y: Array, kh: int, p: Plan, scratch: Scratch) -> None:
    """Multiply, add the kernel rows and cut the maps out to y (n, F, H', W')."""
    N, F, L = len(cols), len(M) // kh, p.L
    lead, pitch = p.top * p.P, L + p.gap
    flat = scratch.temp("conv.out", (lead + N * kh * F * pitch,), M.dtype)
    flat[:lead] = 0
    out = flat[lead:].reshape(N, kh * F, pitch)
    out[..., L:] = 0
    gemm.product(M, cols, out[..., :L])
    length = p.Ho * p.P
    rows = view(flat, 0, (N, F, kh, length), (kh * F * pitch, pitch, F * pitch + p.down, 1))
    total = scratch.temp("conv.total", (N, F, length), M.dtype)
    np.matmul(gemm.ones(kh, M.dtype), rows, out=total)
    y[...] = total.reshape(N, F, p.Ho, p.P)[..., : p.Wo]


def _add_columns(Mt: Array, dout: Array, dx: Array, kw: int, p: Plan, scratch: Scratch) -> None:
    """Multiply, add the kernel columns and cut the maps out to dx (n, C, H, W)."""
    N, C, L = len(dout), len(Mt) // kw, p.L
    dcols = scratch.temp("conv.dcols", (N, kw * C, L), Mt.dtype)
    gemm.product(Mt, dout, dcols)
    columns = view(dcols, p.left, (N, C, kw, L), (kw * C * L, L, C * L - p.right, 1))
    total = scratch.temp("conv.total", (N, C, L), Mt.dtype)
    np.matmul(gemm.ones(kw, Mt.dtype), columns, out=total)
    dx[...] = total.reshape(N, C, p.H, p.P)[..., : p.W]
