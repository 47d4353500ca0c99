"""Convolution: the choice of a route by measured size rules."""

from __future__ import annotations

from collections.abc import Callable

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels import (
    conv_columns,
    conv_last,
    conv_pointwise,
    conv_rows,
    conv_shift,
    conv_unroll,
    conv_winograd,
)
from cnnkit.kernels.geometry import ConvBackward, ConvGeometry, output_length, same_padding

__all__ = ["ConvBackward", "ConvGeometry", "conv", "output_length", "same_padding"]

Result = tuple[Array, ConvBackward]

_FEW = 3  # channels up to which unrolling both kernel axes costs less than adding kernel rows
_MANY = 16  # channels from which copies of whole channel rows beat copies of map rows
_SMALL = 64  # cells of a map up to which they do so for stride 1 as well, from four times _MANY


def conv(
    x: Array,
    W: Array,
    b: Array | None,
    geometry: ConvGeometry,
    scratch: Scratch,
    wants_dx: bool = True,
    winograd: bool = True,
) -> Result:
    """Correlate: x (N, C, H, W), W (F, C/groups, kh, kw) -> y (N, F, H', W').

    b is None, (F,) tied or (F, H', W') untied. `winograd` allows the route that is faster from
    32 channels on, but rounds more: see `conv_winograd`.
    """
    return _route(x, len(W), geometry, wants_dx, winograd)(x, W, b, geometry, scratch, wants_dx)


def _route(
    x: Array, F: int, geometry: ConvGeometry, wants_dx: bool, winograd: bool
) -> Callable[..., Result]:
    _, C, H, W = x.shape
    if conv_pointwise.fits(geometry):
        return conv_pointwise.conv
    if winograd and conv_winograd.fits(geometry) and conv_winograd.pays(x, F, geometry):
        return conv_winograd.conv
    if not conv_rows.fits(geometry):
        many = conv_last.fits(geometry) and C >= _MANY
        return conv_last.conv if many else conv_columns.conv
    if C >= 4 * _MANY and H * W <= _SMALL:
        return conv_last.conv
    return conv_unroll.conv if C <= _FEW and not wants_dx else conv_shift.conv
