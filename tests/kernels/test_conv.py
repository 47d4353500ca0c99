"""Every convolution route against a slow loop, forward and every gradient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.arrays import Arena, Scratch
from cnnkit.kernels import (
    conv_columns,
    conv_last,
    conv_pointwise,
    conv_rows,
    conv_shift,
    conv_unroll,
    conv_winograd,
)
from cnnkit.kernels.conv import ConvGeometry, conv, output_length, same_padding

ROUTES = {
    "dispatcher": conv,
    "columns": conv_columns.conv,
    "last": conv_last.conv,
    "shift": conv_shift.conv,
    "unroll": conv_unroll.conv,
    "pointwise": conv_pointwise.conv,
    "winograd": conv_winograd.conv,
}
ACCEPTS = {
    "dispatcher": lambda geometry: True,
    "columns": lambda geometry: True,
    "last": conv_last.fits,
    "shift": conv_rows.fits,
    "unroll": conv_rows.fits,
    "pointwise": conv_pointwise.fits,
    "winograd": conv_winograd.fits,
}
BOUND = {np.float64: 1e-10, np.float32: 2e-5}  # of the largest entry of the reference


def geometry(kernel=3, stride=1, dilation=1, padding=0, groups=1):
    """Build a ConvGeometry from ints or tuples."""
    pair = [v if isinstance(v, tuple) else (v, v) for v in (kernel, stride, dilation)]
    pads = padding if isinstance(padding, tuple) else ((padding, padding), (padding, padding))
    return ConvGeometry(*pair, pads, groups)


def problem(geo, N=2, C=2, F=4, size=(7, 8), bias="tied", dtype=np.float64, seed=0):
    """Draw x, W, b, dy for a geometry; every array is non-contiguous."""
    rng = np.random.default_rng(seed)
    out = geo.output(*size)
    shapes = [
        (N, C * geo.groups, *size),
        (F * geo.groups, C, *geo.kernel),
        (N, F * geo.groups, *out),
    ]
    x, W, dy = (rng.standard_normal((*s[:3], 2 * s[3])).astype(dtype)[..., ::2] for s in shapes)
    shape = {"none": None, "tied": (len(W),), "untied": (len(W), *out)}[bias]
    b = None if shape is None else rng.standard_normal(shape).astype(dtype)
    return x, W, b, dy


def slow_conv(x, W, b, geometry, dy):
    """Return y, dx, dW for dy, by one loop per output cell."""
    (sh, sw), (dh, dw), (kh, kw) = geometry.stride, geometry.dilation, geometry.kernel
    rows, columns = geometry.padding
    padded = np.pad(x, ((0, 0), (0, 0), rows, columns))
    dpadded, grad = np.zeros_like(padded), np.zeros_like(W)
    y = np.zeros_like(dy)
    (F, share), (_, _, H, Wo) = W.shape[:2], dy.shape
    for f in range(F):
        first = f // (F // geometry.groups) * share
        for i in range(H):
            for j in range(Wo):
                window = (
                    slice(None),
                    slice(first, first + share),
                    slice(i * sh, i * sh + (kh - 1) * dh + 1, dh),
                    slice(j * sw, j * sw + (kw - 1) * dw + 1, dw),
                )
                bias = 0 if b is None else b[f] if b.ndim == 1 else b[f, i, j]
                y[:, f, i, j] = (padded[window] * W[f]).sum(axis=(1, 2, 3)) + bias
                pull = dy[:, f, i, j][:, None, None, None]
                dpadded[window] += pull * W[f]
                grad[f] += (pull * padded[window]).sum(axis=0)
    (top, _), (left, _) = rows, columns
    return y, dpadded[:, :, top : top + x.shape[2], left : left + x.shape[3]], grad


def close(got, wanted, name):
    bound = BOUND[got.dtype.type]
    assert got.shape == wanted.shape, name
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=bound * scale, err_msg=name)


def check(route, geo, wants_dx=True, scratch=None, **options):
    """Run one route on one problem, and compare y, dx, dW, db with the slow loop's."""
    x, W, b, dy = problem(geo, **options)
    before = [None if a is None else a.copy() for a in (x, W, b, dy)]
    y, backward = route(x, W, b, geo, scratch or Scratch(), wants_dx)
    assert y.flags.c_contiguous
    dx, dW, db = backward(dy)
    for old, new in zip(before, (x, W, b, dy), strict=True):
        assert old is None or np.array_equal(old, new), "an input was modified"
    wide = [None if a is None else a.astype(np.float64) for a in (x, W, b, dy)]
    want_y, want_dx, want_dW = slow_conv(*wide[:3], geo, wide[3])
    assert y.dtype == dW.dtype == x.dtype
    close(y, want_y, "y")
    close(dW, want_dW, "dW")
    if wants_dx:
        assert dx.dtype == x.dtype
        close(dx, want_dx, "dx")
    else:
        assert dx is None
    if b is None:
        assert db is None
    else:
        assert db.dtype == x.dtype
        close(db, wide[3].sum(axis=0 if b.ndim == 3 else (0, 2, 3)), "db")
    return y.copy(), None if dx is None else dx.copy(), dW.copy()


def product():
    """List a seeded sample of the full product of options that fit."""
    axes = itertools.product(
        [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (7, 7), (1, 3), (5, 2)],  # kernel
        [1, 2, 3, (2, 1)],  # stride
        [1, 2, (1, 3)],  # dilation
        [0, 1, 2, 3, ((1, 2), (0, 3)), ((2, 0), (1, 0))],  # padding
        [1, 2, 3],  # groups
        [(1, 1), (2, 3), (1, 4), (3, 2)],  # C, F per group
        [(3, 3), (7, 8), (12, 5), (1, 9)],  # H, W
        [1, 2, 33],  # N
        ["none", "tied", "untied"],
    )
    cases = [
        (geometry(*geo), {"C": C, "F": F, "size": size, "N": N, "bias": bias})
        for *geo, (C, F), size, N, bias in axes
    ]
    drawn = np.random.default_rng(1).choice(len(cases), 3000, replace=False)
    return [cases[i] for i in drawn if min(cases[i][0].output(*cases[i][1]["size"])) > 0]


def pointwise():
    """List every option of a 1x1 kernel."""
    axes = itertools.product(
        [(1, 1), (2, 3), (4, 2)], [(3, 3), (7, 8), (1, 9)], [1, 2, 33], ["none", "tied", "untied"]
    )
    for (C, F), size, N, bias in axes:
        yield geometry(1), {"C": C, "F": F, "size": size, "N": N, "bias": bias}


def winograd():
    """List 3x3 kernels with every padding up to 2, maps of one tile and of several."""
    pads = [0, 1, 2, ((1, 2), (0, 1)), ((0, 2), (2, 1))]
    axes = itertools.product(
        pads,
        [(1, 1), (3, 2)],
        [(3, 3), (7, 8), (12, 5), (9, 13)],
        [1, 5],
        ["none", "tied", "untied"],
    )
    for padding, (C, F), size, N, bias in axes:
        yield geometry(3, padding=padding), {"C": C, "F": F, "size": size, "N": N, "bias": bias}


CASES = [*product(), *pointwise(), *winograd()]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_route_equals_the_slow_loop(route, dtype):
    cases = [c for c in CASES if ACCEPTS[route](c[0])][: 150 if dtype is np.float64 else 50]
    assert len(cases) >= 50
    for seed, (geo, options) in enumerate(cases):
        check(ROUTES[route], geo, dtype=dtype, seed=seed, wants_dx=seed % 3 > 0, **options)


@pytest.mark.parametrize("route", ROUTES)
def test_an_arena_leaves_nothing_stale(route):
    arena = Arena()
    cases = [c for c in CASES if ACCEPTS[route](c[0])][50:60]
    runs = []
    for _ in range(2):
        arena.reset()
        runs.append([check(ROUTES[route], geo, scratch=arena, **options) for geo, options in cases])
    for first, second in zip(*runs, strict=True):
        for one, two in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("geo", "options"),
    [
        (geometry(3, stride=2, padding=1), {"C": 16, "F": 5}),
        (geometry(3, padding=1), {"C": 64, "F": 33, "size": (5, 4)}),
        (geometry(3, padding=1), {"C": 40, "F": 40, "size": (28, 27), "N": 3}),
        (geometry(3, padding=1), {"C": 40, "F": 31, "size": (28, 27), "N": 3}),
        (geometry(5, padding=2), {"C": 1, "F": 40, "size": (28, 28)}),
    ],
)
@pytest.mark.parametrize("wants_dx", [True, False])
def test_many_channels(geo, options, wants_dx):
    check(conv, geo, wants_dx, **options)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 13), st.integers(1, 13)),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(1, 4),
)
def test_odd_sizes(size, kernel, stride, pad, N):
    geo = geometry(kernel, stride, 1, ((pad, 0), (0, pad)))
    if min(geo.output(*size)) > 0:
        check(conv, geo, size=size, N=N, C=3, F=2)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "pad", "length"),
    [
        (28, 5, 1, 1, (2, 2), 28),
        (28, 5, 1, 1, (0, 0), 24),
        (7, 2, 2, 1, (0, 0), 3),
        (7, 3, 1, 3, (0, 0), 1),
        (3, 5, 1, 1, (0, 0), -1),
        (3, 5, 2, 1, (0, 0), 0),
        (3, 5, 1, 1, (1, 1), 1),
    ],
)
def test_output_length(size, kernel, stride, dilation, pad, length):
    assert output_length(size, kernel, stride, dilation, pad) == length


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3))
def test_same_padding_divides_by_the_stride(size, kernel, stride, dilation):
    pad = same_padding(size, kernel, stride, dilation)
    assert output_length(size, kernel, stride, dilation, pad) == -(-size // stride)
    assert 0 <= pad[1] - pad[0] <= 1 or pad == (0, 0)
