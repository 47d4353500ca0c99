"""Convolution by shifted long rows, stride 1: the fastest route for few channels, large maps.

A map becomes one flat row of pitch P = W + padding, where one row's right zeros are the next
row's left zeros. Only the kernel's width is unrolled, by long copies, so one GEMM per image
serves all kernel rows at once and stays small enough for the BLAS kernel that packs nothing.
A product with ones then adds the kernel rows, each shifted by whole rows of the map: one call,
and no buffering as in a ufunc over views. A row of ones below the columns carries the bias
forward and collects its gradient backward. Backward is the exact transpose of all that.
"""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels import gemm
from cnnkit.kernels.conv_rows import (
    Plan,
    add_columns,
    ones,
    plan_rows,
    unroll_rows,
    view,
)
from cnnkit.kernels.geometry import ConvBackward, ConvGeometry

_BLOCK = 2_000_000  # bytes of one block: it stays in the cache, and few blocks mean few calls


def conv(
    x: Array,
    W: Array,
    b: Array | None,
    geometry: ConvGeometry,
    scratch: Scratch,
    wants_dx: bool = True,
) -> tuple[Array, ConvBackward]:
    """Correlate: x (N, C, H, W), W (F, C, kh, kw) -> y (N, F, H', W')."""
    F, C, kh, kw = W.shape
    plan, center = plan_rows(*x.shape[2:], geometry), geometry.padding[0][0] // geometry.dilation[0]
    tied, K = b is not None and b.ndim == 1, kw * C
    M = _stack(W, b if tied else None, center, scratch)  # (kh*F, K and the bias)
    y = scratch.empty((len(x), F, plan.Ho, plan.Wo), x.dtype)
    blocks = _blocks(len(x), sum(M.shape) * plan.L * x.itemsize)

    def columns(part: slice) -> Array:  # (n, K and the ones, L)
        shape = (len(x[part]), M.shape[1], plan.L)
        alone = len(blocks) == 1  # then backward has them still, else it makes them again
        cols = scratch.empty(shape, x.dtype) if alone else scratch.temp(41, shape, x.dtype)
        _unroll_columns(x[part], cols, kw, plan, scratch)
        return cols

    for part in blocks:
        cols = columns(part)
        _add_rows(M, cols, y[part], kh, plan, scratch)
    if b is not None and not tied:
        y += b

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dx = scratch.empty(x.shape, x.dtype) if wants_dx else None
        each = scratch.temp(45, (len(x), *M.shape), x.dtype)
        for part in blocks:
            dout = unroll_rows(dy[part], kh, plan, scratch)  # (n, kh*F, L)
            gemm.gradient(dout, cols if len(blocks) == 1 else columns(part), each[part])
            if dx is not None:
                add_columns(M[:, :K].T, dout, dx[part], kw, plan, scratch)
        dM = np.add.reduce(each, axis=0)
        dW = scratch.empty(W.shape, x.dtype)
        dW[...] = dM[:, :K].reshape(kh, F, kw, C).transpose(1, 3, 0, 2)
        db = None
        if tied:
            db = dM[center * F : (center + 1) * F, K]
        elif b is not None:
            db = dy.sum(axis=0)
        return dx, dW, db

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
        M[center * F : (center + 1) * F, K] = b  # that kernel row meets every output row
    return M


def _blocks(N: int, size: int) -> list[slice]:
    """Cut N images, each of `size` bytes of columns and results, into even blocks."""
    count = -(-N * size // _BLOCK)
    step = -(-N // count)
    return [slice(start, start + step) for start in range(0, N, step)]


def _unroll_columns(x: Array, cols: Array, kw: int, plan: Plan, scratch: Scratch) -> None:
    """Copy x (n, C, H, W) once per kernel column to cols (n, kw*C and more, L); ones go last."""
    (N, C, *_), L = x.shape, plan.L
    room = L + (kw - 1) * plan.right
    padded = scratch.temp(40, (N, C, room), x.dtype)
    padded.fill(0)
    view(padded, plan.left, x.shape, (C * room, room, plan.P, 1))[...] = x
    windows = view(padded, 0, (N, kw, C, L), (C * room, plan.right, room, 1))
    cols[:, : kw * C].reshape(N, kw, C, L)[...] = windows
    cols[:, kw * C :] = 1


def _add_rows(M: Array, cols: Array, y: Array, kh: int, plan: Plan, scratch: Scratch) -> None:
    """Multiply, add the kernel rows and cut the maps out to y (n, F, H', W')."""
    N, F, L = len(cols), len(M) // kh, plan.L
    lead, pitch = plan.top * plan.P, L + plan.gap
    flat = scratch.temp(42, (lead + N * kh * F * pitch,), M.dtype)
    flat[:lead] = 0
    out = flat[lead:].reshape(N, kh * F, pitch)
    out[..., L:] = 0
    gemm.product(M, cols, out[..., :L])
    length = plan.Ho * plan.P
    rows = view(flat, 0, (N, F, kh, length), (kh * F * pitch, pitch, F * pitch + plan.down, 1))
    total = scratch.temp(43, (N, F, length), M.dtype)
    np.matmul(ones(kh, M.dtype), rows, out=total)
    y[...] = total.reshape(N, F, plan.Ho, plan.P)[..., : plan.Wo]
