"""The table of routes, and the choice of one by measured size rules.

A new route is a file, or a function in one, and a row here; the tests run over the table.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels.conv import im2col, rows, winograd
from cnnkit.kernels.conv.geometry import ConvGeometry, Problem, Result

_FEW = 3  # channels up to which unrolling both kernel axes costs less than adding kernel rows
_MANY = 16  # channels from which copies of whole channel rows beat copies of map rows
_SMALL = 64  # cells of a map up to which they do so for stride 1 as well, from four times _MANY


class Route(NamedTuple):
    """One way to convolve: right where it fits, and the fastest where it pays as well."""

    name: str
    fits: Callable[[ConvGeometry], bool]
    pays: Callable[[Problem], bool]
    conv: Callable[[Array, Array, Array | None, ConvGeometry, Scratch, bool], Result]


def _has_few_channels(p: Problem) -> bool:
    return p.shape[0] <= _FEW and not p.wants_dx


def _has_large_maps(p: Problem) -> bool:
    C, H, W = p.shape
    return C < 4 * _MANY or H * W > _SMALL


ROUTES = (
    Route("pointwise", im2col.is_pointwise, lambda p: True, im2col.pointwise),
    Route("winograd", winograd.fits, winograd.pays, winograd.conv),
    Route("unroll", rows.fits, _has_few_channels, rows.unroll),
    Route("shift", rows.fits, _has_large_maps, rows.shift),
    Route("last", lambda g: g.groups == 1, lambda p: p.shape[0] >= _MANY, im2col.channels_last),
    Route("columns", lambda g: True, lambda p: True, im2col.columns),
)
"""In order of preference: the first that fits and pays is taken."""


@lru_cache(maxsize=1024)  # asked for in every forward pass
def choose(problem: Problem) -> Route:
    """Return the first route that fits and pays."""
    return next(r for r in ROUTES if r.fits(problem.geometry) and r.pays(problem))


def conv(
    x: Array,
    W: Array,
    b: Array | None,
    geometry: ConvGeometry,
    scratch: Scratch,
    wants_dx: bool = True,
) -> Result:
    """Correlate: x (N, C, H, W), W (F, C/groups, kh, kw) -> y (N, F, H', W').

    b is None, (F,) tied or (F, H', W') untied; the routes see none but a tied one.
    """
    route = choose(Problem(x.shape[1:], len(W), geometry, wants_dx)).conv
    if b is None or b.ndim == 1:
        return route(x, W, b, geometry, scratch, wants_dx)
    y, back = route(x, W, None, geometry, scratch, wants_dx)
    y += b

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dx, dW, _ = back(dy)
        return dx, dW, dy.sum(axis=0)

    return y, backward
