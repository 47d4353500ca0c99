"""Winograd F(4x4, 3x3): a 3x3 convolution of stride 1 with a quarter of the multiplications.

y = A'[(G w G') * (B' x B)]A on tiles of 4x4 outputs, in blocks of images that stay in the cache.
It costs accuracy: in float32 about fifteen times the rounding error of the direct routes.

Each transform is one GEMM with a 6-row matrix over long rows: tiles part into their six rows,
then into their six columns, by strided copies. In a transformed array the first axis counts
36 = column and row of the tile, the last all tiles of all images.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2015), section 4.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels import gemm
from cnnkit.kernels.conv.geometry import ConvGeometry, Problem, Result, view

_BLOCK = 600_000  # bytes of transformed tiles in a block of images
_MANY = 28  # channels and filters from which the transforms of full tiles cost less than they save
_B = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]]
_B += [[0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]
_A = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
_G = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]  # times 24


def fits(geometry: ConvGeometry) -> bool:
    """Tell whether the route can take it: 3x3, stride 1, no dilation, padding up to 2."""
    walk = geometry.kernel, geometry.stride, geometry.dilation, geometry.groups
    return walk == ((3, 3), (1, 1), (1, 1), 1) and max(map(max, geometry.padding)) <= 2


def pays(problem: Problem) -> bool:
    """Tell whether the route is the fastest: many channels, and maps that fill their tiles.

    Tiles cover 16 * cells positions of a map; the more of them lie outside, the more channels it
    takes. From 32 to 64 channels, 14x14 maps took 519 us by this route and 410 by shifted rows.
    """
    (C, H, W), F, geometry, _ = problem
    Ho, Wo = geometry.output(H, W)
    cells = _count_cells(Ho, Wo)
    return min(C, F) * Ho * Wo >= _MANY * 16 * cells and 7 * cells <= Ho * Wo


def conv(
    x: Array, W: Array, b: Array | None, geometry: ConvGeometry, scratch: Scratch, wants_dx: bool
) -> Result:
    """Correlate: x (N, C, H, W), W (F, C, 3, 3), b (F,) -> y (N, F, H', W')."""
    N, (F, C, _, _), ((top, _), (left, _)) = len(x), W.shape, geometry.padding
    Ho, Wo = geometry.output(*x.shape[2:])
    y = scratch.empty((N, F, Ho, Wo), x.dtype)
    cells = _count_cells(Ho, Wo)
    step = max(1, _BLOCK // (36 * max(C, F) * cells * x.itemsize))
    parts = [slice(start, start + step) for start in range(0, N, step)]
    U = _transform_kernels(W, scratch)
    kept = []
    for part in parts:
        V = scratch.empty((36, C, len(x[part]) * cells), x.dtype)
        _transform_tiles(x[part], top, left, V, (Ho, Wo), scratch)
        _turn_into_maps(U, V, y[part], scratch)
        kept.append(V)
    if b is not None:
        y += b.reshape(F, 1, 1)

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dU = scratch.temp("winograd.dU", (36, F, C), x.dtype)
        dU.fill(0)
        for part, V in zip(parts, kept, strict=True):
            _add_kernel_gradient(dy[part], V, dU, scratch)
        dW = np.matmul(_matrices(x.dtype)[2].T, dU.reshape(36, F * C)).T.reshape(W.shape)
        db = None
        if b is not None:
            db = np.matmul(dy.reshape(N, F, Ho * Wo), gemm.ones(Ho * Wo, x.dtype)).sum(axis=0)
        dx = scratch.empty(x.shape, x.dtype) if wants_dx else None
        if dx is not None:  # the same convolution, kernels turned around and channels exchanged
            turned, (H, Wx) = W[:, :, ::-1, ::-1].transpose(1, 0, 2, 3), x.shape[2:]
            U = _transform_kernels(turned, scratch)
            for part in parts:
                tiles = len(dy[part]) * _count_cells(H, Wx)
                V = scratch.temp("winograd.V", (36, F, tiles), x.dtype)
                _transform_tiles(dy[part], 2 - top, 2 - left, V, (H, Wx), scratch)
                _turn_into_maps(U, V, dx[part], scratch)
        return dx, dW, db

    return y, backward


@lru_cache(maxsize=4)
def _matrices(dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    """Return B' (6, 6), A' (4, 6) and G x G (36 = column and row, 9)."""
    G = np.array(_G, np.float64) / 24
    both = np.einsum("ia,jb->jiab", G, G).reshape(36, 9)
    return np.array(_B, dtype), np.array(_A, dtype), both.astype(dtype)


def _count_cells(Ho: int, Wo: int) -> int:
    """Count the tiles of a map, one of them empty at the end of each row of tiles."""
    return -(-Ho // 4) * (-(-Wo // 4) + 1)


def _tile_rows(H: int, W: int) -> tuple[int, int]:
    """Return the rows of tiles of a map, and the length of one in cells of the map."""
    return -(-H // 4), 4 * (-(-W // 4) + 1)


def _transform_kernels(W: Array, scratch: Scratch) -> Array:
    """Transform W (F, C, 3, 3) -> (36, F, C)."""
    (F, C), GG = W.shape[:2], _matrices(W.dtype)[2]
    U = scratch.empty((36, F, C), W.dtype)
    np.matmul(GG, W.reshape(F * C, 9).T, out=U.reshape(36, F * C))
    return U


def _transform_tiles(
    x: Array, top: int, left: int, V: Array, size: tuple[int, int], scratch: Scratch
) -> None:
    """Transform the 6x6 tiles of x (n, C, H, W) that make maps of `size` -> V (36, C, n*cells)."""
    (n, C, H, W), (th, Q), B = x.shape, _tile_rows(*size), _matrices(x.dtype)[0]
    rows, long = 4 * th + 2, C * n * th * Q
    padded = scratch.temp("conv.padded", (n, C, rows, Q), x.dtype)
    padded.fill(0)
    padded[:, :, top : top + H, left : left + W] = x
    parted = scratch.temp("winograd.parted", (6, C, n, th, Q), x.dtype)
    parted[...] = view(padded, 0, parted.shape, (Q, rows * Q, C * rows * Q, 4 * Q, 1))
    flat = scratch.temp("winograd.flat", (6 * long + 8,), x.dtype)
    flat[6 * long :] = 0  # the last row's fifth column looks beyond
    np.matmul(B, parted.reshape(6, long), out=flat[: 6 * long].reshape(6, long))
    parted = scratch.temp("winograd.parted", (6, 6 * long // 4), x.dtype)
    parted[...] = view(flat, 0, parted.shape, (1, 4))
    np.matmul(B, parted, out=V.reshape(parted.shape))


def _turn_into_maps(U: Array, V: Array, y: Array, scratch: Scratch) -> None:
    """Multiply U (36, F, C) by V (36, C, n*cells) and turn the tiles into y (n, F, H, W)."""
    (n, F, _, W), A, (th, Q) = y.shape, _matrices(y.dtype)[1], _tile_rows(*y.shape[2:])
    long = 6 * F * V.shape[2]
    tiles = scratch.temp("winograd.tiles", (36, F, V.shape[2]), y.dtype)
    np.matmul(U, V, out=tiles)
    columns = scratch.temp("winograd.columns", (4, long), y.dtype)
    np.matmul(A, tiles.reshape(6, long), out=columns)
    flat = scratch.temp("winograd.flat", (long * 4,), y.dtype)
    for column in range(4):
        flat[column::4] = columns[column]
    parted = scratch.temp("winograd.parted", (4, F, n, th, Q), y.dtype)
    np.matmul(A, flat.reshape(6, -1), out=parted.reshape(4, -1))
    for row in range(4):
        lines = y[:, :, row::4]
        lines[...] = parted[row].transpose(1, 0, 2, 3)[:, :, : lines.shape[2], :W]


def _add_kernel_gradient(dy: Array, V: Array, dU: Array, scratch: Scratch) -> None:
    """Add the gradient (36, F, C) of the transformed kernels to dU."""
    (n, F, _, W), A, (th, Q) = dy.shape, _matrices(dy.dtype)[1], _tile_rows(*dy.shape[2:])
    long = F * n * th * Q
    parted = scratch.temp("winograd.parted", (4, F, n, th, Q), dy.dtype)
    parted.fill(0)
    for row in range(4):
        lines = dy[:, :, row::4]
        parted[row].transpose(1, 0, 2, 3)[:, :, : lines.shape[2], :W] = lines
    flat = scratch.temp("winograd.flat", (6, long), dy.dtype)
    np.matmul(A.T, parted.reshape(4, long), out=flat)
    parted = scratch.temp("winograd.parted", (4, 6 * long // 4), dy.dtype)
    parted[...] = view(flat, 0, parted.shape, (1, 4))
    tiles = scratch.temp("winograd.tiles", (36, F, V.shape[2]), dy.dtype)
    np.matmul(A.T, parted, out=tiles.reshape(6, -1))
    gemm.gradient(tiles, V, out := scratch.temp("winograd.each", dU.shape, dU.dtype))
    dU += out
