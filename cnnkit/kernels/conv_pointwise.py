"""Convolution with a 1x1 kernel, stride 1, no padding: one GEMM on the maps as they lie."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels import gemm
from cnnkit.kernels.conv_rows import kernel_gradient, ones
from cnnkit.kernels.geometry import ConvBackward, ConvGeometry


def fits(geometry: ConvGeometry) -> bool:
    """Tell whether the route can take it."""
    plain = geometry.kernel == geometry.stride == (1, 1) and geometry.groups == 1
    return plain and geometry.padding == ((0, 0), (0, 0))


def conv(
    x: Array,
    W: Array,
    b: Array | None,
    geometry: ConvGeometry,
    scratch: Scratch,
    wants_dx: bool = True,
) -> tuple[Array, ConvBackward]:
    """Mix channels: x (N, C, H, W), W (F, C, 1, 1) -> y (N, F, H, W)."""
    (N, C, *size), F = x.shape, len(W)
    M, L = W.reshape(F, C), size[0] * size[1]
    flat = x.reshape(N, C, L)
    y = scratch.empty((N, F, *size), x.dtype)
    gemm.product(M, flat, y.reshape(N, F, L))
    if b is not None:
        y += b if b.ndim == 3 else b.reshape(F, 1, 1)

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dflat = dy.reshape(N, F, L)
        dW = kernel_gradient(dflat, flat, scratch).reshape(W.shape)
        db = None
        if b is not None:
            db = dy.sum(axis=0) if b.ndim == 3 else np.matmul(dflat, ones(L, x.dtype)).sum(axis=0)
        dx = scratch.empty(x.shape, x.dtype) if wants_dx else None
        if dx is not None:
            gemm.product(M.T, dflat, dx.reshape(N, C, L))
        return dx, dW, db

    return y, backward
