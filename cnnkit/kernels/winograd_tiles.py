"""The transforms of Winograd's F(4x4, 3x3), each one GEMM with a 6-row matrix over long rows.

Tiles part into their six rows, then into their six columns, by strided copies. In a transformed
array the first axis counts 36 = column and row of the tile, the last all tiles of all images.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels import gemm
from cnnkit.kernels.conv_rows import view

_B = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]]
_B += [[0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]]
_A = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
_G = [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]  # times 24


@lru_cache(maxsize=4)
def matrices(dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    """Return B' (6, 6), A' (4, 6) and G x G (36 = column and row, 9)."""
    G = np.array(_G, np.float64) / 24
    both = np.einsum("ia,jb->jiab", G, G).reshape(36, 9)
    return np.array(_B, dtype), np.array(_A, dtype), both.astype(dtype)


def count_cells(Ho: int, Wo: int) -> int:
    """Count the tiles of a map, one of them empty at the end of each row of tiles."""
    return -(-Ho // 4) * (-(-Wo // 4) + 1)


def transform_kernels(W: Array, scratch: Scratch) -> Array:
    """Transform W (F, C, 3, 3) -> (36, F, C)."""
    (F, C), GG = W.shape[:2], matrices(W.dtype)[2]
    U = scratch.empty((36, F, C), W.dtype)
    np.matmul(GG, W.reshape(F * C, 9).T, out=U.reshape(36, F * C))
    return U


def transform_tiles(
    x: Array, top: int, left: int, V: Array, size: tuple[int, int], scratch: Scratch
) -> None:
    """Transform the 6x6 tiles of x (n, C, H, W) that make maps of `size` -> V (36, C, n*cells)."""
    (n, C, H, W), th, Q = x.shape, -(-size[0] // 4), 4 * (-(-size[1] // 4) + 1)
    B, rows = matrices(x.dtype)[0], 4 * th + 2
    padded = scratch.temp(60, (n, C, rows, Q), x.dtype)
    padded.fill(0)
    padded[:, :, top : top + H, left : left + W] = x
    parted = scratch.temp(61, (6, C, n, th, Q), x.dtype)
    parted[...] = view(padded, 0, parted.shape, (Q, rows * Q, C * rows * Q, 4 * Q, 1))
    long = C * n * th * Q
    flat = scratch.temp(62, (6 * long + 8,), x.dtype)  # the last row's fifth column looks beyond
    flat[6 * long :] = 0
    np.matmul(B, parted.reshape(6, long), out=flat[: 6 * long].reshape(6, long))
    columns = scratch.temp(61, (6, 6 * long // 4), x.dtype)
    columns[...] = view(flat, 0, columns.shape, (1, 4))
    np.matmul(B, columns, out=V.reshape(columns.shape))


def turn_into_maps(U: Array, V: Array, y: Array, scratch: Scratch) -> None:
    """Multiply U (36, F, C) by V (36, C, n*cells) and turn the tiles into y (n, F, H, W)."""
    (n, F, H, W), A = y.shape, matrices(y.dtype)[1]
    th, Q = -(-H // 4), 4 * (-(-W // 4) + 1)
    product = scratch.temp(63, (36, F, V.shape[2]), y.dtype)
    np.matmul(U, V, out=product)
    long = product.size // 6
    columns = np.matmul(A, product.reshape(6, long), out=scratch.temp(64, (4, long), y.dtype))
    flat = scratch.temp(62, (long * 4,), y.dtype)
    for column in range(4):
        flat[column::4] = columns[column]
    rows = scratch.temp(61, (4, F, n, th, Q), y.dtype)
    np.matmul(A, flat.reshape(6, -1), out=rows.reshape(4, -1))
    for row in range(4):
        lines = y[:, :, row::4]
        lines[...] = rows[row].transpose(1, 0, 2, 3)[:, :, : lines.shape[2], :W]


def kernel_gradient(dy: Array, V: Array, scratch: Scratch) -> Array:
    """Return the gradient (36, F, C) of the transformed kernels."""
    (n, F, H, W), A = dy.shape, matrices(dy.dtype)[1]
    th, Q = -(-H // 4), 4 * (-(-W // 4) + 1)
    parted = scratch.temp(61, (4, F, n, th, Q), dy.dtype)
    parted.fill(0)
    for row in range(4):
        lines = dy[:, :, row::4]
        parted[row].transpose(1, 0, 2, 3)[:, :, : lines.shape[2], :W] = lines
    long = F * n * th * Q
    flat = np.matmul(A.T, parted.reshape(4, long), out=scratch.temp(62, (6, long), dy.dtype))
    columns = scratch.temp(61, (4, 6 * long // 4), dy.dtype)
    columns[...] = view(flat, 0, columns.shape, (1, 4))
    tiles = scratch.temp(63, (36, F, n * th * Q // 4), dy.dtype)
    np.matmul(A.T, columns, out=tiles.reshape(6, -1))
    out = scratch.temp(64, (36, F, V.shape[1]), dy.dtype)
    gemm.gradient(tiles, V, out)
    return out
