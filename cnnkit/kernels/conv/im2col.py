"""Convolution by columns (im2col): every window is copied to a column, and a GEMM does the rest.

`columns` is right for every geometry; only strides, groups and odd paddings come here.
`channels_last` serves many channels on small maps: every copy moves C numbers, however short the
rows. `pointwise` needs no copy: a 1x1 kernel's windows are the maps as they lie.
"""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.kernels import gemm
from cnnkit.kernels.conv.geometry import ConvGeometry, Result, view


def columns(
    x: Array, W: Array, b: Array | None, geometry: ConvGeometry, scratch: Scratch, wants_dx: bool
) -> Result:
    """Multiply once per image and group."""
    (N, C, *_), F, G, K = x.shape, len(W), geometry.groups, W[0].size
    size = geometry.output(*x.shape[2:])
    M, L, cells = W.reshape(G, F // G, K), size[0] * size[1], (N, C, *geometry.kernel, *size)
    cols = scratch.empty((N, G, K, L), x.dtype)
    _gather(x, cols.reshape(cells), geometry, scratch)
    y = scratch.empty((N, F, *size), x.dtype)
    np.matmul(M, cols, out=y.reshape(N, G, F // G, L))
    if b is not None:
        y += b.reshape(F, 1, 1)

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dout = dy.reshape(N, G, F // G, L)
        each = scratch.temp("conv.each", (N, G, F // G, K), x.dtype)
        np.matmul(dout, cols.transpose(0, 1, 3, 2), out=each)
        dW = each.sum(axis=0).reshape(W.shape)
        db = None if b is None else (dout @ gemm.ones(L, x.dtype)).sum(axis=0).reshape(F)
        dx = scratch.empty(x.shape, x.dtype) if wants_dx else None
        if dx is not None:
            dcols = scratch.temp("conv.dcols", cols.shape, x.dtype)
            np.matmul(M.transpose(0, 2, 1), dout, out=dcols)
            _spread(dcols.reshape(cells), dx, geometry, scratch)
        return dx, dW, db

    return y, backward


def channels_last(
    x: Array, W: Array, b: Array | None, geometry: ConvGeometry, scratch: Scratch, wants_dx: bool
) -> Result:
    """Multiply once for all images, rows of channels on both sides."""
    N, (F, C, kh, kw), (Ho, Wo) = len(x), W.shape, geometry.output(*x.shape[2:])
    cols = scratch.empty((N * Ho * Wo, kh * kw * C), x.dtype)

    def cells(cols: Array) -> Array:  # (N, C, kh, kw, H', W')
        return cols.reshape(N, Ho, Wo, kh, kw, C).transpose(0, 5, 3, 4, 1, 2)

    _gather(x, cells(cols), geometry, scratch, last=True)
    M = scratch.empty((kh * kw * C, F), x.dtype)
    M.reshape(kh, kw, C, F)[...] = W.transpose(2, 3, 1, 0)
    out = np.matmul(cols, M, out=scratch.temp("conv.out", (len(cols), F), x.dtype))
    if b is not None:
        out += b
    y = scratch.empty((N, F, Ho, Wo), x.dtype)
    y[...] = out.reshape(N, Ho, Wo, F).transpose(0, 3, 1, 2)

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dout = scratch.temp("conv.out", (len(cols), F), x.dtype)
        dout.reshape(N, Ho, Wo, F)[...] = dy.transpose(0, 2, 3, 1)
        dM = np.matmul(cols.T, dout, out=scratch.temp("conv.each", M.shape, x.dtype))
        dW = scratch.empty(W.shape, x.dtype)
        dW[...] = dM.reshape(kh, kw, C, F).transpose(3, 2, 0, 1)
        db = None if b is None else np.matmul(gemm.ones(len(dout), x.dtype), dout)
        dx = scratch.empty(x.shape, x.dtype) if wants_dx else None
        if dx is not None:
            dcols = np.matmul(dout, M.T, out=scratch.temp("conv.dcols", cols.shape, x.dtype))
            _spread(cells(dcols), dx, geometry, scratch, last=True)
        return dx, dW, db

    return y, backward


def is_pointwise(geometry: ConvGeometry) -> bool:
    """Tell whether every cell is a window of its own: 1x1, stride 1, one group, no padding."""
    plain = geometry.kernel == geometry.stride == (1, 1) and geometry.groups == 1
    return plain and geometry.padding == ((0, 0), (0, 0))


def pointwise(
    x: Array, W: Array, b: Array | None, geometry: ConvGeometry, scratch: Scratch, wants_dx: bool
) -> Result:
    """Mix channels: one GEMM per image."""
    (N, C, *size), F = x.shape, len(W)
    M, L = W.reshape(F, C), size[0] * size[1]
    cols = x.reshape(N, C, L)
    y = scratch.empty((N, F, *size), x.dtype)
    gemm.product(M, cols, y.reshape(N, F, L))
    if b is not None:
        y += b.reshape(F, 1, 1)

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dout = dy.reshape(N, F, L)
        dW = gemm.total_gradient(dout, cols, scratch).reshape(W.shape)
        db = None if b is None else np.matmul(dout, gemm.ones(L, x.dtype)).sum(axis=0)
        dx = scratch.empty(x.shape, x.dtype) if wants_dx else None
        if dx is not None:
            gemm.product(M.T, dout, dx.reshape(N, C, L))
        return dx, dW, db

    return y, backward


def _gather(
    x: Array, cells: Array, geometry: ConvGeometry, scratch: Scratch, last: bool = False
) -> None:
    """Copy every window of x to cells (N, C, kh, kw, H', W')."""
    padded = scratch.temp("conv.padded", _padded_size(x, geometry), x.dtype)
    inner, windows = _views(padded, x.shape, geometry, last)
    padded.fill(0)
    inner[...] = x
    cells[...] = windows


def _spread(
    dcells: Array, dx: Array, geometry: ConvGeometry, scratch: Scratch, last: bool = False
) -> None:
    """Add the windows' gradients where they came from, and drop the padding."""
    padded = scratch.temp("conv.padded", _padded_size(dx, geometry), dx.dtype)
    inner, windows = _views(padded, dx.shape, geometry, last)
    padded.fill(0)
    for u in range(geometry.kernel[0]):
        for v in range(geometry.kernel[1]):
            windows[:, :, u, v] += dcells[:, :, u, v]  # apart: all windows at once overlap
    dx[...] = inner


def _padded_size(x: Array, geometry: ConvGeometry) -> Shape:
    (N, C, H, W), (rows, columns) = x.shape, geometry.padding
    return (N * C * (H + sum(rows)) * (W + sum(columns)),)


def _views(padded: Array, shape: Shape, geometry: ConvGeometry, last: bool) -> tuple[Array, Array]:
    """View flat padded maps as what they surround, x, and as windows (N, C, kh, kw, H', W')."""
    (N, C, H, W), ((top, bottom), (left, right)) = shape, geometry.padding
    (sh, sw), (dh, dw), P = geometry.stride, geometry.dilation, W + left + right
    size = (H + top + bottom) * P
    n, c, h, w = (C * size, 1, P * C, C) if last else (C * size, size, P, 1)
    inner = view(padded, top * h + left * w, shape, (n, c, h, w))
    cells = (N, C, *geometry.kernel, *geometry.output(H, W))
    return inner, view(padded, 0, cells, (n, c, dh * h, dw * w, sh * h, sw * w))
