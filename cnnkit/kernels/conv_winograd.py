"""Winograd F(4x4, 3x3): a 3x3 convolution of stride 1 with a quarter of the multiplications.

y = A'[(G w G') * (B' x B)]A on tiles of 4x4 outputs, in blocks of images that stay in the cache.
It costs accuracy: in float32 about fifteen times the rounding error of the direct routes.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2015), section 4.
"""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels.conv_rows import ones
from cnnkit.kernels.geometry import ConvBackward, ConvGeometry
from cnnkit.kernels.winograd_tiles import (
    count_cells,
    kernel_gradient,
    matrices,
    transform_kernels,
    transform_tiles,
    turn_into_maps,
)

_BLOCK = 600_000  # bytes of transformed tiles in a block of images
_MANY = 28  # channels and filters from which the transforms of full tiles cost less than they save


def fits(geometry: ConvGeometry) -> bool:
    """Tell whether the route can take it: 3x3, stride 1, no dilation, padding up to 2."""
    walk = geometry.kernel, geometry.stride, geometry.dilation, geometry.groups
    return walk == ((3, 3), (1, 1), (1, 1), 1) and max(map(max, geometry.padding)) <= 2


def pays(x: Array, F: int, geometry: ConvGeometry) -> bool:
    """Tell whether the route is the fastest: many channels, and maps that fill their tiles.

    Tiles cover 16 * cells positions of a map; the more of them lie outside, the more channels it
    takes. From 32 to 64 channels, 14x14 maps took 519 us by this route and 410 by shifted rows.
    """
    Ho, Wo = geometry.output(*x.shape[2:])
    cells = count_cells(Ho, Wo)
    many = min(x.shape[1], F) * Ho * Wo >= _MANY * 16 * cells
    return many and 7 * cells <= Ho * Wo


def conv(
    x: Array,
    W: Array,
    b: Array | None,
    geometry: ConvGeometry,
    scratch: Scratch,
    wants_dx: bool = True,
) -> tuple[Array, ConvBackward]:
    """Correlate: x (N, C, H, W), W (F, C, 3, 3) -> y (N, F, H', W')."""
    N, (F, C, _, _), (top, left) = len(x), W.shape, (p[0] for p in geometry.padding)
    Ho, Wo = geometry.output(*x.shape[2:])
    y = scratch.empty((N, F, Ho, Wo), x.dtype)
    cells = count_cells(Ho, Wo)
    step = max(1, _BLOCK // (36 * max(C, F) * cells * x.itemsize))
    parts = [slice(start, start + step) for start in range(0, N, step)]
    U = transform_kernels(W, scratch)
    kept = []
    for part in parts:
        V = scratch.empty((36, C, len(x[part]) * cells), x.dtype)
        transform_tiles(x[part], top, left, V, (Ho, Wo), scratch)
        turn_into_maps(U, V, y[part], scratch)
        kept.append(V)
    if b is not None:
        y += b if b.ndim == 3 else b.reshape(F, 1, 1)

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        _, _, GG = matrices(x.dtype)
        dU = scratch.temp(65, (36, F, C), x.dtype)
        dU.fill(0)
        for part, V in zip(parts, kept, strict=True):
            dU += kernel_gradient(dy[part], V, scratch)
        dW = np.matmul(GG.T, dU.reshape(36, F * C)).T.reshape(W.shape)
        db = None
        if b is not None and b.ndim == 3:
            db = dy.sum(axis=0)
        elif b is not None:
            db = np.matmul(dy.reshape(N, F, Ho * Wo), ones(Ho * Wo, x.dtype)).sum(axis=0)
        dx = None
        if wants_dx:  # the same convolution, kernels turned around and channels exchanged
            dx = scratch.empty(x.shape, x.dtype)
            turned = transform_kernels(W[:, :, ::-1, ::-1].transpose(1, 0, 2, 3), scratch)
            for part in parts:
                _turn_back(dy[part], turned, dx[part], 2 - top, 2 - left, scratch)
        return dx, dW, db

    return y, backward


def _turn_back(dy: Array, U: Array, dx: Array, top: int, left: int, scratch: Scratch) -> None:
    n, F, (H, W) = len(dy), dy.shape[1], dx.shape[2:]
    V = scratch.temp(66, (36, F, n * count_cells(H, W)), dy.dtype)
    transform_tiles(dy, top, left, V, (H, W), scratch)
    turn_into_maps(U, V, dx, scratch)
