"""Convolution: `plain` against slow loops and PyTorch, and every route against `plain`."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.arrays import FRESH, Arena, Scratch
from cnnkit.kernels.conv import ROUTES, ConvGeometry, conv, output_length, plain, same_padding
from cnnkit.kernels.conv.geometry import Problem
from cnnkit.kernels.conv.routes import choose
from cnnkit.testing.tools import HostileScratch

DTYPES = [np.float64, np.float32]
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
    """Return y, dx, dW, db for dy: one output cell, one kernel tap, one channel at a time."""
    (sh, sw), (dh, dw), ((top, _), (left, _)) = geometry.stride, geometry.dilation, geometry.padding
    (_, _, H, Wx), (F, share, kh, kw), (_, _, Ho, Wo) = x.shape, W.shape, dy.shape
    y, dx, dW = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(W)
    for f, i, j in itertools.product(range(F), range(Ho), range(Wo)):
        if b is not None:
            y[:, f, i, j] = b[f] if b.ndim == 1 else b[f, i, j]
        for k, u, v in itertools.product(range(share), range(kh), range(kw)):
            c = f // (F // geometry.groups) * share + k
            row, column = i * sh + u * dh - top, j * sw + v * dw - left
            if 0 <= row < H and 0 <= column < Wx:  # outside lie zeros
                y[:, f, i, j] += W[f, k, u, v] * x[:, c, row, column]
                dW[f, k, u, v] += dy[:, f, i, j] @ x[:, c, row, column]
                dx[:, c, row, column] += W[f, k, u, v] * dy[:, f, i, j]
    db = None if b is None else dy.sum(axis=0) if b.ndim == 3 else dy.sum(axis=(0, 2, 3))
    return y, dx, dW, db


def by_torch(x, W, b, geometry, dy):
    """Return y, dx, dW, db for dy by PyTorch, padded beforehand: it pads both ends alike."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # on maps this small, waking a second one takes most of the time
    rows, columns = geometry.padding
    tensors = [None if a is None else torch.tensor(a, requires_grad=True) for a in (x, W, b)]
    padded = torch.nn.functional.pad(tensors[0], (*columns, *rows))
    walk = geometry.stride, 0, geometry.dilation, geometry.groups
    y = torch.nn.functional.conv2d(padded, tensors[1], None, *walk)
    if b is not None:
        y = y + (tensors[2] if b.ndim == 3 else tensors[2].reshape(-1, 1, 1))
    y.backward(torch.tensor(dy))
    return (y.detach().numpy(), *(None if t is None else t.grad.numpy() for t in tensors))


def by_plain(x, W, b, geometry, dy):
    y, backward = plain.conv(x, W, b, geometry, FRESH, True)
    return y, *backward(dy)


def close(got, wanted, name):
    bound = BOUND[got.dtype.type]
    assert got.shape == wanted.shape, name
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=bound * scale, err_msg=name)


def check(route, geo, wants_dx=True, scratch=None, oracle=by_plain, **options):
    """Run one route on one problem, and compare y, dx, dW, db with the oracle's in float64."""
    arrays = problem(geo, **options)
    before = [None if a is None else a.copy() for a in arrays]
    *inputs, dy = arrays
    y, backward = route(*inputs, geo, scratch or Scratch(), wants_dx)
    got = {"y": y, **dict(zip(("dx", "dW", "db"), backward(dy), strict=True))}
    assert y.flags.c_contiguous
    for old, new in zip(before, arrays, strict=True):
        assert old is None or np.array_equal(old, new), "an input was modified"
    x, W, b, dy = (None if a is None else a.astype(np.float64) for a in arrays)
    for (name, array), wanted in zip(got.items(), oracle(x, W, b, geo, dy), strict=True):
        if wanted is None or (name == "dx" and not wants_dx):
            assert array is None, name
        else:
            assert array.dtype == y.dtype == arrays[0].dtype, name
            close(array, wanted, name)
    return [None if a is None else a.copy() for a in got.values()]


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


def edges():
    """List what trips convolutions up: "same" with even kernels, strides, dilation and groups."""
    axes = itertools.product([1, 2, 3, 4], [1, 2, 3], [1, 2, 3], [(5, 5), (8, 3)], [1, 2, 4])
    walks = [
        (geometry(kernel, stride, dilation, pads, groups), size)
        for kernel, stride, dilation, size, groups in axes
        for pads in [tuple(same_padding(side, kernel, stride, dilation) for side in size)]
    ]
    walks += [
        (geometry((3, 1), (2, 1), (1, 2), ((0, 5), (4, 0))), (1, 1)),  # more zeros than map
        (geometry(5, padding=4), (1, 1)),
        (geometry(2, stride=7), (8, 8)),  # steps over most of the map
        (geometry((8, 3)), (8, 3)),  # the kernel is as large as the map
    ]
    for geo, size in walks:
        for N, bias in [(1, "tied"), (3, "none")]:
            yield geo, {"C": 2, "F": 1, "size": size, "N": N, "bias": bias}


CASES, EDGES = [*product(), *pointwise(), *winograd()], [*edges()]


BY_NAME = {"dispatcher": conv, **{row.name: row.conv for row in ROUTES}}


def cases_for(route, most):
    """List cases that a route fits; an untied bias is the dispatcher's business."""
    if route == "dispatcher":
        return [*EDGES, *CASES[:most]]
    fits = next(row.fits for row in ROUTES if row.name == route)
    tied = [c for c in CASES if c[1]["bias"] != "untied" and fits(c[0])]
    return [*(c for c in EDGES if fits(c[0])), *tied[:most]]


@pytest.mark.parametrize("oracle", [slow_conv, by_torch])
@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_is_right(oracle, dtype):
    cases = [*EDGES, *CASES[::12]][:: 1 if dtype is np.float64 else 5]
    for seed, (geo, options) in enumerate(cases):
        check(plain.conv, geo, seed % 3 > 0, oracle=oracle, dtype=dtype, seed=seed, **options)


@pytest.mark.parametrize("route", BY_NAME)
@pytest.mark.parametrize("dtype", DTYPES)
def test_route_equals_plain(route, dtype):
    cases = cases_for(route, 400 if dtype is np.float64 else 100)
    assert len(cases) >= 50
    for seed, (geo, options) in enumerate(cases):
        check(BY_NAME[route], geo, seed % 3 > 0, dtype=dtype, seed=seed, **options)


@pytest.mark.parametrize("route", BY_NAME)
@pytest.mark.parametrize("scratch", [HostileScratch(), Arena()])
def test_nothing_in_scratch_is_stale_or_taken_twice(route, scratch):
    cases = cases_for(route, 40)[-40:]
    several_blocks = {"N": 40, "C": 9, "F": 9, "size": (28, 28)}
    cases.append((geometry(1) if route == "pointwise" else geometry(3, padding=1), several_blocks))
    runs = []
    for _ in range(2):
        getattr(scratch, "reset", int)()
        runs.append([check(BY_NAME[route], geo, scratch=scratch, **c) for geo, c in cases])
    for first, second in zip(*runs, strict=True):
        for one, two in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("route", "C", "F", "side", "wants_dx", "geo"),
    [
        ("unroll", 1, 6, 28, False, geometry(5, padding=2)),
        ("unroll", 3, 6, 28, False, geometry(5, padding=2)),
        ("shift", 1, 6, 28, True, geometry(5, padding=2)),
        ("shift", 4, 6, 28, False, geometry(5, padding=2)),
        ("shift", 6, 6, 28, True, geometry(3, dilation=2)),
        ("shift", 32, 64, 14, True, geometry(3, padding=1)),
        ("winograd", 32, 32, 28, True, geometry(3, padding=1)),
        ("winograd", 64, 64, 14, False, geometry(3, padding=1)),
        ("winograd", 64, 64, 8, True, geometry(3, padding=1)),
        ("last", 64, 64, 8, True, geometry(5, padding=2)),
        ("last", 16, 32, 14, True, geometry(3, stride=2, padding=1)),
        ("columns", 15, 32, 14, True, geometry(3, stride=2, padding=1)),
        ("columns", 32, 32, 14, True, geometry(3, padding=1, groups=2)),
        ("columns", 6, 6, 28, True, geometry(3, padding=3)),
        ("last", 32, 32, 28, True, geometry(3, padding=3)),
        ("pointwise", 64, 64, 7, True, geometry(1)),
        ("columns", 6, 6, 28, True, geometry(1, stride=2)),
    ],
)
def test_choice_of_route(route, C, F, side, wants_dx, geo):
    assert choose(Problem((C, side, side), F, geo, wants_dx)).name == route


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
