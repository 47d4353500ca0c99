"""Maps as flat rows of pitch P = W + padding, for convolutions of stride 1.

One row's right zeros are the next row's left zeros, so a shift by a kernel column or a kernel
row is one long copy, and what wraps around is zero. `unroll_rows` and `add_columns` are the
input gradient of every route that uses this layout: the exact transpose of `conv_shift`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.kernels import gemm
from cnnkit.kernels.geometry import ConvGeometry


class Plan(NamedTuple):
    """The integers of one call; a length or a step along a flat map counts its elements."""

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


def fits(geometry: ConvGeometry) -> bool:
    """Tell whether this route can take it: stride 1, one group, no padding beyond `full`."""
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
def plan_rows(H: int, W: int, geometry: ConvGeometry) -> Plan:
    """Work out the layout for maps of H rows and W columns."""
    (top, bottom), (left, right) = geometry.padding
    (Ho, Wo), (dh, dw) = geometry.output(H, W), geometry.dilation
    P = W + max(left, right)
    return Plan(H, W, Ho, Wo, P, H * P, left, top, max(top, bottom) * P, dh * P, dw)


@lru_cache(maxsize=64)
def ones(size: int, dtype: np.dtype[Any]) -> Array:
    """Return a read-only row of ones."""
    row = np.ones(size, dtype)
    row.flags.writeable = False
    return row


def view(flat: Array, start: int, shape: Shape, steps: Shape) -> Array:
    """View a contiguous array from element `start` on, by steps counted in elements."""
    item = flat.itemsize
    return np.ndarray(shape, flat.dtype, flat, start * item, tuple([item * s for s in steps]))


def unroll_rows(dy: Array, kh: int, plan: Plan, scratch: Scratch) -> Array:
    """Copy dy once per kernel row, where that row took its part: (N, kh*F, L)."""
    (N, F, *_), P, L = dy.shape, plan.P, plan.L
    above = (kh - 1) * plan.down - plan.top * P
    room = L + (kh - 1) * plan.down
    padded = scratch.temp(40, (N, F, room), dy.dtype)
    padded.fill(0)
    view(padded, above, dy.shape, (F * room, room, P, 1))[...] = dy
    dout = scratch.temp(42, (N, kh, F, L), dy.dtype)
    first = (kh - 1) * plan.down
    dout[...] = view(padded, first, dout.shape, (F * room, -plan.down, room, 1))
    return dout.reshape(N, kh * F, L)


def add_columns(Mt: Array, dout: Array, dx: Array, kw: int, plan: Plan, scratch: Scratch) -> None:
    """Multiply, add the kernel columns and cut the maps out to dx (N, C, H, W)."""
    N, C, L = len(dout), len(Mt) // kw, plan.L
    dcols = scratch.temp(44, (N, kw * C, L), Mt.dtype)
    gemm.product(Mt, dout, dcols)
    columns = view(dcols, plan.left, (N, C, kw, L), (kw * C * L, L, C * L - plan.right, 1))
    total = scratch.temp(43, (N, C, L), Mt.dtype)
    np.matmul(ones(kw, Mt.dtype), columns, out=total)
    dx[...] = total.reshape(N, C, plan.H, plan.P)[..., : plan.W]


def kernel_gradient(dout: Array, cols: Array, scratch: Scratch) -> Array:
    """Sum `dout @ cols.T` over the images: (N, A, L) and (N, B, L) -> (A, B)."""
    each = scratch.temp(43, (len(cols), dout.shape[1], cols.shape[1]), cols.dtype)
    gemm.gradient(dout, cols, each)
    total: Array = np.add.reduce(each, axis=0)
    return total
