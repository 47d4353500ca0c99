"""Convolution by fully unrolled long rows, stride 1: for one to three channels.

As in `conv_shift`, a map is one flat row of pitch P, so that each kernel cell is one long copy.
Here the kernel's rows are unrolled as well: with few channels that is cheaper than writing and
adding one result per kernel row. The gradient of x takes the shifted route.
"""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels import gemm
from cnnkit.kernels.conv_rows import (
    Plan,
    add_columns,
    kernel_gradient,
    plan_rows,
    unroll_rows,
    view,
)
from cnnkit.kernels.geometry import ConvBackward, ConvGeometry


def conv(
    x: Array,
    W: Array,
    b: Array | None,
    geometry: ConvGeometry,
    scratch: Scratch,
    wants_dx: bool = True,
) -> tuple[Array, ConvBackward]:
    """Correlate: x (N, C, H, W), W (F, C, kh, kw) -> y (N, F, H', W')."""
    p, tied = plan_rows(*x.shape[2:], geometry), b is not None and b.ndim == 1
    N, (F, C, kh, kw), K = len(x), W.shape, W[0].size
    M = scratch.empty((F, K + tied), x.dtype)
    M[:, :K].reshape(F, kh, kw, C)[...] = W.transpose(0, 2, 3, 1)
    if tied:
        M[:, -1] = b
    cols = _unroll(x, kh, kw, tied, p, scratch)  # (N, K + tied, H'*P)
    out = scratch.temp(42, (N, F, cols.shape[2]), x.dtype)
    gemm.product(M, cols, out)
    y = scratch.empty((N, F, p.Ho, p.Wo), x.dtype)
    y[...] = out.reshape(N, F, p.Ho, p.P)[..., : p.Wo]
    if b is not None and not tied:
        y += b

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dout = scratch.temp(42, (N, F, p.Ho, p.P), x.dtype)
        dout[..., : p.Wo] = dy
        dout[..., p.Wo :] = 0
        dM = kernel_gradient(dout.reshape(N, F, -1), cols, scratch)
        dW = scratch.empty(W.shape, x.dtype)
        dW[...] = dM[:, :K].reshape(F, kh, kw, C).transpose(0, 3, 1, 2)
        db = None if b is None else dM[:, -1] if tied else dy.sum(axis=0)
        dx = None
        if wants_dx:
            Mt = np.ascontiguousarray(W.transpose(3, 1, 2, 0)).reshape(kw * C, kh * F)
            dx = scratch.empty(x.shape, x.dtype)
            add_columns(Mt, unroll_rows(dy, kh, p, scratch), dx, kw, p, scratch)
        return dx, dW, db

    return y, backward


def _unroll(x: Array, kh: int, kw: int, tied: bool, p: Plan, scratch: Scratch) -> Array:
    """Copy x once per kernel cell: (N, kh*kw*C + tied, H'*P), the row of ones last."""
    (N, C, *_), L = x.shape, p.Ho * p.P
    room = L + (kh - 1) * p.down + (kw - 1) * p.right
    padded = scratch.temp(40, (N, C, room), x.dtype)
    padded.fill(0)
    view(padded, p.top * p.P + p.left, x.shape, (C * room, room, p.P, 1))[...] = x
    cols = scratch.empty((N, kh * kw * C + tied, L), x.dtype)
    shape, steps = (N, kh, kw, C, L), (C * room, p.down, p.right, room, 1)
    cols[:, : kh * kw * C].reshape(shape)[...] = view(padded, 0, shape, steps)
    if tied:
        cols[:, -1] = 1
    return cols
