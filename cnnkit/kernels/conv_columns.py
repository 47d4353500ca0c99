"""The general convolution: every window a column (im2col), one GEMM per image and group.

Right for every geometry; only strides, groups and odd paddings come here.
"""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels.conv_rows import ones, view
from cnnkit.kernels.geometry import ConvBackward, ConvGeometry


def conv(
    x: Array,
    W: Array,
    b: Array | None,
    geometry: ConvGeometry,
    scratch: Scratch,
    wants_dx: bool = True,
) -> tuple[Array, ConvBackward]:
    """Correlate: x (N, C, H, W), W (F, C/groups, kh, kw) -> y (N, F, H', W')."""
    N, F, G, K = len(x), len(W), geometry.groups, W[0].size
    size = geometry.output(*x.shape[2:])
    M, L = W.reshape(G, F // G, K), size[0] * size[1]
    cols = _columns(x, geometry, scratch)  # (N, G, K, L)
    y = scratch.empty((N, F, *size), x.dtype)
    np.matmul(M, cols, out=y.reshape(N, G, F // G, L))
    if b is not None:
        y += b if b.ndim == 3 else b.reshape(F, 1, 1)

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dout = dy.reshape(N, G, F // G, L)
        each = scratch.temp(11, (N, G, F // G, K), x.dtype)
        np.matmul(dout, cols.transpose(0, 1, 3, 2), out=each)
        dW = each.sum(axis=0).reshape(W.shape)
        db = None
        if b is not None:
            db = dy.sum(axis=0) if b.ndim == 3 else (dout @ ones(L, x.dtype)).sum(0).reshape(F)
        dx = None
        if wants_dx:
            dcols = scratch.temp(12, cols.shape, x.dtype)
            np.matmul(M.transpose(0, 2, 1), dout, out=dcols)
            dx = _spread(dcols, x, geometry, scratch)
        return dx, dW, db

    return y, backward


def _columns(x: Array, geometry: ConvGeometry, scratch: Scratch) -> Array:
    """Copy every window of x: (N, groups, C/groups * kh*kw, H'*W')."""
    (N, C, H, W), ((top, _), (left, _)) = x.shape, geometry.padding
    padded = scratch.temp(10, _padded_shape(x, geometry), x.dtype)
    padded.fill(0)
    padded[:, :, top : top + H, left : left + W] = x
    (sh, sw), (dh, dw), (rows, P) = geometry.stride, geometry.dilation, padded.shape[2:]
    Ho, Wo = geometry.output(H, W)
    shape, steps = (N, C, *geometry.kernel, Ho, Wo), (rows * P, dh * P, dw, sh * P, sw)
    kh, kw = geometry.kernel
    cols = scratch.empty((N, geometry.groups, C // geometry.groups * kh * kw, Ho * Wo), x.dtype)
    cols.reshape(shape)[...] = view(padded, 0, shape, (C * rows * P, *steps))
    return cols


def _spread(dcols: Array, x: Array, geometry: ConvGeometry, scratch: Scratch) -> Array:
    """Add the windows' gradients where they came from, and drop the padding."""
    (N, C, H, W), ((top, _), (left, _)) = x.shape, geometry.padding
    (Ho, Wo), (kh, kw) = geometry.output(H, W), geometry.kernel
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    padded = scratch.temp(10, _padded_shape(x, geometry), x.dtype)
    padded.fill(0)
    cells = dcols.reshape(N, C, kh, kw, Ho, Wo)
    for ky in range(kh):
        rows = slice(ky * dh, ky * dh + (Ho - 1) * sh + 1, sh)
        for kx in range(kw):
            columns = slice(kx * dw, kx * dw + (Wo - 1) * sw + 1, sw)
            padded[:, :, rows, columns] += cells[:, :, ky, kx]
    dx = scratch.empty(x.shape, x.dtype)
    dx[...] = padded[:, :, top : top + H, left : left + W]
    return dx


def _padded_shape(x: Array, geometry: ConvGeometry) -> tuple[int, int, int, int]:
    (N, C, H, W), (rows, columns) = x.shape, geometry.padding
    return N, C, H + sum(rows), W + sum(columns)
