"""Convolution with channels last: columns (im2col) of whole channel rows, one large GEMM.

For many channels on small maps, any stride: every copy moves C numbers, however short the rows.
"""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.kernels.conv_rows import ones, view
from cnnkit.kernels.geometry import ConvBackward, ConvGeometry


def fits(geometry: ConvGeometry) -> bool:
    """Tell whether the route can take it: one group, and anything else."""
    return geometry.groups == 1


def conv(
    x: Array,
    W: Array,
    b: Array | None,
    geometry: ConvGeometry,
    scratch: Scratch,
    wants_dx: bool = True,
) -> tuple[Array, ConvBackward]:
    """Correlate: x (N, C, H, W), W (F, C, kh, kw) -> y (N, F, H', W')."""
    (N, C, *_), (F, _, kh, kw) = x.shape, W.shape
    Ho, Wo = geometry.output(*x.shape[2:])
    cols = _columns(x, (N, Ho, Wo, kh, kw, C), geometry, scratch)
    M = scratch.empty((kh * kw * C, F), x.dtype)
    M.reshape(kh, kw, C, F)[...] = W.transpose(2, 3, 1, 0)
    flat = np.matmul(cols, M, out=scratch.temp(11, (len(cols), F), x.dtype))
    if b is not None and b.ndim == 1:
        flat += b
    y = scratch.empty((N, F, Ho, Wo), x.dtype)
    y[...] = flat.reshape(N, Ho, Wo, F).transpose(0, 3, 1, 2)
    if b is not None and b.ndim == 3:
        y += b

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dout = scratch.temp(11, (len(cols), F), x.dtype)
        dout.reshape(N, Ho, Wo, F)[...] = dy.transpose(0, 2, 3, 1)
        dM = np.matmul(cols.T, dout, out=scratch.temp(12, M.shape, x.dtype))
        dW = scratch.empty(W.shape, x.dtype)
        dW[...] = dM.reshape(kh, kw, C, F).transpose(3, 2, 0, 1)
        db = None
        if b is not None:
            db = dy.sum(axis=0) if b.ndim == 3 else np.matmul(ones(len(dout), x.dtype), dout)
        dx = None
        if wants_dx:
            dcols = np.matmul(dout, M.T, out=scratch.temp(13, cols.shape, x.dtype))
            dx = _spread(dcols.reshape(N, Ho, Wo, kh, kw, C), x, geometry, scratch)
        return dx, dW, db

    return y, backward


def _columns(x: Array, shape: Shape, geometry: ConvGeometry, scratch: Scratch) -> Array:
    """Copy every window of x: (N*H'*W', kh*kw*C)."""
    (N, C, H, W), ((top, _), (left, _)) = x.shape, geometry.padding
    padded = _padded(x, geometry, scratch)
    padded[:, top : top + H, left : left + W] = x.transpose(0, 2, 3, 1)
    (sh, sw), (dh, dw), (rows, P) = geometry.stride, geometry.dilation, padded.shape[1:3]
    steps = (rows * P * C, sh * P * C, sw * C, dh * P * C, dw * C, 1)
    _, Ho, Wo, kh, kw, _ = shape
    cols = scratch.empty((N * Ho * Wo, kh * kw * C), x.dtype)
    cols.reshape(shape)[...] = view(padded, 0, shape, steps)
    return cols


def _spread(cells: Array, x: Array, geometry: ConvGeometry, scratch: Scratch) -> Array:
    """Add the windows' gradients where they came from, and drop the padding."""
    (_, _, H, W), ((top, _), (left, _)) = x.shape, geometry.padding
    (sh, sw), (dh, dw) = geometry.stride, geometry.dilation
    padded, (_, Ho, Wo, kh, kw, _) = _padded(x, geometry, scratch), cells.shape
    for ky in range(kh):
        rows = slice(ky * dh, ky * dh + (Ho - 1) * sh + 1, sh)
        for kx in range(kw):
            columns = slice(kx * dw, kx * dw + (Wo - 1) * sw + 1, sw)
            padded[:, rows, columns] += cells[:, :, :, ky, kx]
    dx = scratch.empty(x.shape, x.dtype)
    dx[...] = padded[:, top : top + H, left : left + W].transpose(0, 3, 1, 2)
    return dx


def _padded(x: Array, geometry: ConvGeometry, scratch: Scratch) -> Array:
    """Return zeros for x with its padding, channels last."""
    (N, C, H, W), (rows, columns) = x.shape, geometry.padding
    padded = scratch.temp(10, (N, H + sum(rows), W + sum(columns), C), x.dtype)
    padded.fill(0)
    return padded
