"""Fused steps against the layers that they stand for, in float64, over a product of options."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cnnkit_native.graph import knows
from cnnkit_native.step import Fused
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.arrays import Scratch, flatten
from cnnkit.base import Context, forward_chain
from cnnkit.errors import ShapeError
from cnnkit.model import Model

RNG = np.random.default_rng


class Hostile(Scratch):
    """Memory full of what nobody should read: NaN, as whoever used it last may have left it."""

    def empty(self, shape, dtype=np.float32):
        return np.full(shape, np.nan, dtype)


def conv(filters=4, kernel=3, **options):
    return {"type": "conv", "filters": filters, "kernel": kernel, **options}


def dense(units=5, **options):
    return {"type": "dense", "units": units, **options}


def pool(kind="max", size=2, **options):
    return {"type": "pool", "kind": kind, "size": size, **options}


def depthwise(channels, kernel=3, **options):
    return conv(channels, kernel, groups=channels, **options)


def residual(*body, shortcut=()):
    return {"type": "residual", "body": list(body), "shortcut": list(shortcut)}


def double(tree):
    return {k: double(v) if isinstance(v, dict) else v.astype(np.float64) for k, v in tree.items()}


def model_of(layers, shape):
    model = Model.build(layers, shape)
    rng = RNG(3)
    for path, w in flatten(model.weights).items():
        if path.endswith("/b"):  # zero at first, which hides mistakes
            w[...] = rng.standard_normal(w.shape)
    return model


def own(step, weights):
    return {name: weights[name] for name in step.names if name in weights}


def agree(mine, plain, what):
    assert mine.shape == plain.shape, what
    assert mine.dtype == np.float32, what
    error = np.abs(mine - plain).max() if plain.size else 0
    assert error <= 2e-5 * max(1.0, np.abs(plain).max()), f"{what}: {error}"


def compare(layers, shape, n=3, wants_dx=True):
    """Hold y, dx and gradients of a fused chain against the layers', and change nothing given."""
    model = model_of(layers, shape)
    steps = model.network.steps
    assert all(knows(layer) for _, layer in steps)
    x = RNG(1).standard_normal((n, *shape)).astype(np.float32)
    ctx = Context(training=True, wants_dx=wants_dx, scratch=Hostile())
    plain = Context(training=True, wants_dx=wants_dx)
    y, back = forward_chain(steps, x.astype(np.float64), double(model.weights), plain)
    step = Fused(steps)
    given = x.copy()
    mine, my_back = step.forward(x, own(step, model.weights), ctx)
    assert list(step._plans.values()) != [None]
    agree(mine, y, "y")
    dy = RNG(2).standard_normal(y.shape)
    my_dy = dy.astype(np.float32)
    dx, grads = back(dy)
    my_dx, my_grads = my_back(my_dy)
    if wants_dx:
        agree(my_dx, dx, "dx")
    grads, my_grads = flatten(grads), flatten(my_grads)
    assert set(grads) == set(my_grads)
    for path, grad in grads.items():
        agree(my_grads[path], grad, path)
    assert np.array_equal(x, given)
    assert np.array_equal(my_dy, dy.astype(np.float32))
    agree(mine, y, "y after backward")
    still = Context(wants_dx=False, scratch=Hostile())
    agree(step.forward(x, own(step, model.weights), still)[0], y, "y in evaluation")


SIMPLE = [conv(6, 5, padding="same"), "relu", conv(6, 5, padding="same"), "relu", pool(),
          dense(100), "relu", {"type": "softmax", "units": 10}]  # fmt: skip

FORMS = ["sigmoid", "tanh", "leaky_relu", "hard_swish", "silu", "gelu"]
CHAINS = {
    "simple": (SIMPLE, (1, 28, 28)),
    "simple, without loss": ([*SIMPLE[:-1], dense(10)], (1, 28, 28)),
    "conv alone": ([conv(6, 5, padding="same")], (1, 9, 8)),
    "relu, then max": ([conv(6, 3), "relu", pool()], (2, 15, 14)),
    "max, then relu": ([conv(6, 3), pool(), "relu"], (2, 15, 14)),
    "relu, then mean": ([conv(6, 3), "relu", pool("mean"), conv(3, 3)], (2, 15, 14)),
    "relu, then min": ([conv(6, 3), "relu", pool("min")], (2, 15, 14)),
    "untied, then relu": ([conv(5, 3, bias="untied"), "relu", conv(4, 3)], (2, 8, 9)),
    "other pitches": ([conv(4, 3), conv(4, 5, padding=2), conv(4, [1, 7])], (3, 14, 13)),
    "pools and convs": ([pool("mean"), conv(4, 3), pool(size=3, stride=2), conv(3, 2)],
                        (3, 21, 20)),
    **{f"pool {kind} {size} by {stride} with padding": (
        [pool(kind, size=size, stride=stride, **more), conv(3, 2)], shape)
       for kind in ["max", "min", "mean"]
       for size, stride, more, shape in [
           (3, 2, {"padding": 1}, (3, 28, 45)), (3, 2, {"padding": "same"}, (3, 9, 11)),
           (2, 2, {"padding": 1}, (3, 7, 6)), (3, 1, {"padding": "same"}, (3, 6, 21)),
           (2, 2, {"ceil": True}, (3, 7, 9)), (3, 2, {"ceil": True}, (3, 20, 8)),
           ([4, 2], [1, 3], {"padding": [[3, 0], [0, 1]]}, (3, 5, 40)),
           (5, 2, {"padding": 4}, (3, 3, 3)),
           (3, [4, 3], {"ceil": True, "padding": 1}, (3, 9, 10))]},
    "relu, then a pool with padding": ([conv(6, 3), "relu", pool(size=3, stride=2, padding=1)],
                                       (2, 15, 35)),
    "strides": ([conv(5, 3, stride=2), "relu", conv(4, 3, stride=[2, 3], padding=1)], (3, 17, 19)),
    "depthwise": ([conv(6, 3, groups=6, padding="same"), "relu", conv(8, 1)], (6, 7, 9)),
    "depthwise strides": ([depthwise(6, 3, stride=2, padding="same"), "hard_swish",
                           depthwise(6, [5, 3], stride=[1, 3], padding=2), "relu", conv(4, 3),
                           depthwise(4, 3, padding="same"), conv(3, 3)], (6, 19, 22)),
    **{f"depthwise on {H}x{W}": ([depthwise(3, 3, padding=1), "relu", depthwise(3, 3, padding=1)],
                                 (3, H, W))
       for H, W in [(1, 1), (3, 1), (1, 2), (4, 3), (2, 7), (5, 9), (3, 16), (4, 31), (2, 50)]},
    "depthwise on one row": ([depthwise(5, [1, 4], stride=[1, 2], padding=[0, 3])], (5, 1, 33)),
    "too many taps for depthwise": ([depthwise(3, 9, padding="same")], (3, 12, 10)),
    "1x1 on maps as they are": ([conv(8, 1), "relu", conv(16, 1), conv(5, 1)], (6, 7, 9)),
    "1x1 beside 3x3": ([conv(8, 1), residual(conv(8, 1), "silu", conv(8, 3, padding="same")),
                        conv(5, 1), pool()], (6, 7, 9)),
    "1x1 twice": ([residual(conv(6, 1), "relu", shortcut=[conv(6, 1)]), conv(4, 1, bias="untied")],
                  (6, 8, 7)),
    "mobile": ([conv(8, 1), "hard_swish", depthwise(8, 5, padding="same"), "hard_swish",
                {"type": "squeeze_excite", "ratio": 2}, conv(12, 1), "global_pool", dense(5)],
               (4, 9, 9)),
    "squeeze and excite alone": (["squeeze_excite"], (16, 6, 7)),
    "squeeze and excite between": ([conv(8, 3), "squeeze_excite", residual("squeeze_excite"),
                                    conv(4, 3)], (3, 9, 9)),
    "global mean": (["global_pool", dense(4)], (5, 17, 16)),
    "global max": ([conv(6, 3), {"type": "global_pool", "kind": "max"}, dense(4)], (3, 9, 8)),
    "global mean of conv": ([conv(6, 3), "relu", "global_pool"], (3, 9, 8)),
    **{f"{form} of rows and maps": ([form, conv(4, 3), form, conv(3, 2), form, dense(7), form],
                                    (2, 7, 10)) for form in FORMS},
    "leaky relu": ([conv(4, 3), {"type": "leaky_relu", "slope": 0.3}, conv(3, 2)], (2, 7, 10)),
    "gelu by tanh": ([conv(4, 3), {"type": "gelu", "form": "tanh"}, conv(3, 2)], (2, 7, 10)),
    "many filters": ([conv(32, 3, padding="same"), "relu", conv(48, 3), "relu"], (9, 8, 7)),
    "16 by group": ([conv(32, 3, groups=2, stride=2)], (4, 9, 9)),
    "winograd": ([conv(32, 3), "relu", conv(16, [3, 5], padding="same", bias="untied"), "relu",
                  conv(48, 3, padding=[2, 0]), "relu", pool()], (16, 15, 14)),
    "squares": ([conv(16, 3, padding="same"), "relu", conv(32, 3, padding="same", bias="none"),
                 pool(), conv(16, 3, padding=[[2, 0], [1, 2]]), conv(16, 3), "relu"], (16, 12, 9)),
    "squares of one tile": ([conv(16, 3), residual(conv(16, 3, padding="same"), "relu")],
                            (16, 4, 5)),
    "winograd on odd sides": ([conv(32, [3, 1], dilation=[1, 2]),
                               conv(16, 3, padding=[[0, 2], [2, 1]]), "relu"], (17, 7, 9)),
    "head without units": ([dense(4), "softmax"], (3, 2, 2)),
    "sigmoid between": ([dense(9), "sigmoid", dense(4), {"type": "sigmoid", "units": 3}], (7,)),
    "flatten": ([conv(3, 3), "flatten", "relu", dense(4)], (2, 6, 5)),
    "flatten alone": (["flatten"], (2, 6, 5)),
    "relu alone": (["relu"], (2, 6, 5)),
    "sigmoid on maps": ([conv(3, 3), "sigmoid", conv(3, 3)], (2, 9, 9)),
    "softmax alone": (["softmax"], (21,)),
    "residual": ([residual(conv(4, 3, padding="same"), "relu", conv(4, 3, padding="same")),
                  "relu", pool(size=3, stride=2)], (4, 15, 14)),
    "residual first": ([residual(conv(4, 3, padding="same"), "relu")], (4, 5, 6)),
    "shortcut": ([residual(conv(8, 3, padding="same", stride=2), "relu", conv(8, 3, padding="same"),
                           shortcut=[conv(8, 1, stride=2)]), "relu", "flatten", dense(3)],
                 (4, 15, 14)),
    "residual of residuals": ([conv(4, 1), residual(residual("relu", conv(4, 3, padding=1)))],
                              (2, 5, 5)),
    "nested": ([{"type": "sequential", "layers": [conv(4, 3), "relu"]}, pool()], (2, 9, 9)),
    "residual of dense": ([residual(dense(6), "relu", dense(6)), "relu"], (6,)),
    "used twice": ([conv(4, 3), residual("relu"), residual("sigmoid"), conv(2, 2)], (2, 7, 7)),
}  # fmt: skip


@pytest.mark.parametrize("n", [1, 5, 9])
@pytest.mark.parametrize("name", CHAINS)
def test_chains(isa, name, n):
    compare(*CHAINS[name], n)


@pytest.mark.parametrize("name", ["simple", "residual", "strides", "residual first"])
def test_chains_whose_dx_nobody_reads(isa, name):
    compare(*CHAINS[name], wants_dx=False)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups", "bias"),
    list(itertools.product(
        [1, 3, [2, 5]], [1, 2, [3, 1]], ["valid", "same", [[2, 0], [1, 3]]], [1, [2, 1]], [1, 2],
        ["tied", "untied", "none"],
    )),
)  # fmt: skip
def test_convolutions(kernel, stride, padding, dilation, groups, bias):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    compare([conv(6, kernel, bias=bias, **options)], (4, 9, 11), n=2)


@pytest.mark.parametrize(
    ("kind", "size", "stride", "H", "W"),
    list(itertools.product(
        ["max", "min", "mean"], [1, 2, 3, [2, 3]], [None, 1, 2, [3, 2]], [4, 9], [5, 34]
    )),
)  # fmt: skip
def test_pools(kind, size, stride, H, W):
    layer = pool(kind, size, **({"stride": stride} if stride else {}))
    compare([layer], (3, H, W), n=2)
    compare([layer, "relu"], (3, H, W), n=1)


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 20), st.integers(1, 40)),
    filters=st.integers(1, 20),
    sides=st.tuples(*[st.integers(1, 6)] * 2, *[st.integers(1, 3)] * 4),
    amounts=st.tuples(*[st.integers(0, 7)] * 4),
    n=st.integers(1, 3),
    alone=st.booleans(),
    after=st.sampled_from([[], ["relu"], [pool()], ["relu", pool()], ["sigmoid"], [conv(3, 2)]]),
)
@settings(deadline=None, max_examples=150)
def test_odd_geometries(shape, filters, sides, amounts, n, alone, after):
    kh, kw, down, across, dh, dw = sides
    top, bottom, left, right = amounts
    layer = conv(filters, [kh, kw], stride=[down, across], dilation=[dh, dw],
                 padding=[[top, bottom], [left, right]])  # fmt: skip
    if alone:  # each channel by itself
        layer |= {"filters": shape[0], "groups": shape[0]}
    try:
        Model.build([layer, *after], shape)
    except ShapeError:
        return
    compare([layer, *after], shape, n)


def test_input_of_any_strides(isa):
    model = model_of(*CHAINS["simple"])
    step = Fused(model.network.steps)
    x = RNG(1).standard_normal((28, 28, 1, 4)).astype(np.float32)
    w, ctx = own(step, model.weights), Context()
    y, back = step.forward(x.T, w, ctx)
    again, _ = step.forward(x.T.copy(), w, ctx)
    assert np.array_equal(y, again)
    dy = RNG(2).standard_normal((10, 4)).astype(np.float32)
    dx, _ = back(dy.T)
    assert np.array_equal(dx, back(dy.T.copy())[0])


@pytest.mark.parametrize(
    "name", ["simple", "residual", "shortcut", "many filters", "sigmoid between", "winograd",
             "mobile", "depthwise strides"]
)  # fmt: skip
def test_a_sample_has_the_same_bits_in_any_batch(isa, name):
    """In any of eight and more: in smaller ones a dense layer goes back another way, and
    convolutions of many filters take another form."""
    model = model_of(*CHAINS[name])
    step = Fused(model.network.steps)
    x = RNG(1).standard_normal((16, *CHAINS[name][1])).astype(np.float32)
    w = own(step, model.weights)
    dy = RNG(2).standard_normal(step.forward(x, w, Context())[0].shape).astype(np.float32)

    def run(first, last):
        y, back = step.forward(x[first:last], w, Context())
        return y.copy(), back(dy[first:last])[0].copy()

    y, dx = run(0, 16)
    few = [np.concatenate(parts) for parts in zip(run(0, 7), run(7, 14), run(14, 16), strict=True)]
    assert np.allclose(few[0], y, rtol=0, atol=1e-5 * np.abs(y).max())
    assert np.allclose(few[1], dx, rtol=0, atol=1e-5 * np.abs(dx).max())
    for first, last in (0, 8), (3, 12), (1, 16):
        mine = run(first, last)
        assert np.array_equal(mine[0], y[first:last])
        assert np.array_equal(mine[1], dx[first:last])
    for i in range(14):
        mine = run(i, i + 1)
        assert np.array_equal(mine[0][0], few[0][i])
        assert np.array_equal(mine[1][0], few[1][i])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "layers",
    [["relu"], [pool()], [pool(size=3, stride=2)], [pool("min")], [pool("mean")], ["sigmoid"],
     [conv(3, 3)], [depthwise(2)], [depthwise(2, stride=2, padding=1)], [conv(3, 1)],
     ["squeeze_excite"], ["global_pool"], [{"type": "gelu", "form": "tanh"}], *([f] for f in FORMS),
     [conv(3, 3), "relu", pool()], ["flatten", "softmax"], [dense(3), "relu"]],
)  # fmt: skip
def test_values_that_are_not_finite_pass(isa, layers, value):
    model = model_of(layers, (2, 9, 10))
    x = RNG(1).standard_normal((2, 2, 9, 10)).astype(np.float32)
    x[1, 0, 2:4, 5] = value
    step = Fused(model.network.steps)
    with np.errstate(all="ignore"):
        y, back = forward_chain(model.network.steps, x, model.weights, Context())
        mine, my_back = step.forward(x, own(step, model.weights), Context(scratch=Hostile()))
        assert_same_but_for_rounding(mine, y)
        if layers[0] in [*FORMS, "relu", "squeeze_excite", "global_pool"]:
            dy = RNG(2).standard_normal(y.shape).astype(np.float32)
            assert_same_but_for_rounding(my_back(dy)[0], back(dy)[0])


def assert_same_but_for_rounding(mine, y):
    assert np.array_equal(np.isnan(mine), np.isnan(y))
    assert np.array_equal(np.isinf(mine), np.isinf(y))
    finite = np.isfinite(y)
    assert np.allclose(mine[finite], y[finite], atol=1e-5)


@pytest.mark.parametrize("layer", [*FORMS, {"type": "gelu", "form": "tanh"}])
def test_forms_are_right_to_the_last_digits(isa, layer):
    """Far out, and near zero relative to the result, where y is as small as x."""
    near = np.geomspace(1e-6, 1, 400)
    x = np.concatenate([-near, near, np.linspace(-100, 100, 801)]).astype(np.float32)[None]
    steps = Model.build([layer], x.shape[1:]).network.steps
    with np.errstate(under="ignore"):
        y, back = forward_chain(steps, x.astype(np.float64), {}, Context())
        dx = back(np.ones_like(y))[0]
    mine, my_back = Fused(steps).forward(x, {}, Context())
    assert (np.abs(mine - y) <= 2e-6 * np.abs(y) + 2e-7 * np.minimum(np.abs(x), 1)).all()
    np.testing.assert_allclose(my_back(np.ones_like(mine))[0], dx, rtol=2e-6, atol=1e-6)


def test_the_first_of_equals_has_the_gradient(isa):
    x = np.ones((1, 1, 4, 34), np.float32)
    for layer in (pool(), pool("min"), pool(size=[2, 3]), pool(size=2, stride=1)):
        steps = Model.build([layer], (1, 4, 34)).network.steps
        y, back = forward_chain(steps, x, {}, Context())
        _, my_back = Fused(steps).forward(x, {}, Context())
        dy = RNG(0).standard_normal(y.shape).astype(np.float32)
        assert np.array_equal(back(dy)[0], my_back(dy)[0])
