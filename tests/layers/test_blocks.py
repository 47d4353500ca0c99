"""Padding of pools, global pools, norms, branches, and the new ways of residual and dropout."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.arrays import flatten
from cnnkit.base import Context
from cnnkit.base.weight import declared, draw
from cnnkit.errors import OptionError, ShapeError
from cnnkit.layers import (
    Conv,
    Dense,
    DepthwiseSeparable,
    Dropout,
    GlobalPool,
    LayerNorm,
    Parallel,
    Pool,
    Residual,
    Sequential,
    SqueezeExcite,
)

TRAINING = Context(training=True)
ROW = np.array([[[[1.0, 2, 3, 4, 5]]]])


def drawn(layer, shape):
    return draw(layer.weights(shape), np.random.default_rng(0), np.float64)


@pytest.mark.parametrize(
    ("options", "y"),
    [
        # Keras: AveragePooling1D(2, padding="same") -> 1.5 3.5 5; PyTorch: 1.5 3.5 2.5
        ({"padding": "same"}, [1.5, 3.5, 5]),
        ({"padding": "same", "count_padding": True}, [1.5, 3.5, 2.5]),
        # PyTorch: avg_pool1d(2, ceil_mode=True) -> 1.5 3.5 5: what ceil adds never counts
        ({"ceil": True}, [1.5, 3.5, 5]),
        ({"ceil": True, "count_padding": True}, [1.5, 3.5, 5]),
        # PyTorch: avg_pool1d(2, padding=1), with count_include_pad=False and True
        ({"padding": [0, 1]}, [1, 2.5, 4.5]),
        ({"padding": [0, 1], "count_padding": True}, [0.5, 2.5, 4.5]),
    ],
)
def test_what_a_mean_counts(options, y):
    got, _ = Pool(kind="mean", size=[1, 2], **options).forward(ROW, {}, Context())
    assert got.ravel().tolist() == y


@pytest.mark.parametrize(
    ("pool", "shape", "wanted"),
    [
        (Pool(size=3, stride=2, padding="same"), (1, 28, 27), (1, 14, 14)),
        (Pool(size=3, stride=2, padding=1), (1, 28, 27), (1, 14, 14)),
        (Pool(size=3, stride=2, ceil=True), (1, 28, 27), (1, 14, 13)),
        (Pool(size=2, stride=3, ceil=True), (1, 7, 6), (1, 3, 2)),  # would begin past the map
        (Pool(size=2, ceil=True), (1, 5, 4), (1, 3, 2)),
    ],
)
def test_lengths_of_padded_pools(pool, shape, wanted):
    assert pool.output_shape(shape) == wanted


def test_a_window_of_nothing_but_padding_is_refused():
    with pytest.raises(ShapeError) as caught:
        Pool(padding=2).output_shape((1, 8, 8))
    assert str(caught.value) == (
        "cannot pool its input: a 2x2 window may hold nothing but padding; expected padding < 2; "
        "use less padding, or a larger size"
    )
    assert caught.value.option == "padding"


def test_global_pool_by_hand():
    x = np.array([[[[1.0, 5], [5, 1]], [[-1, -2], [-3, -6]]]])
    y, back = GlobalPool().forward(x, {}, Context())
    assert y.tolist() == [[3, -3]]
    assert back(np.array([[4.0, 8]]))[0].tolist() == [[[[1, 1], [1, 1]], [[2, 2], [2, 2]]]]
    y, back = GlobalPool(kind="max").forward(x, {}, Context())
    assert y.tolist() == [[5, -1]]
    assert back(np.array([[4.0, 8]]))[0].tolist() == [[[[0, 4], [0, 0]], [[8, 0], [0, 0]]]]


@pytest.mark.parametrize(("over", "axes"), [("channels", 1), ("sample", (1, 2, 3))])
def test_layer_norm_gives_mean_0_and_variance_1_of_what_it_is_over(over, axes):
    x = 3 + 5 * np.random.default_rng(0).standard_normal((4, 6, 3, 2))
    layer = LayerNorm(over=over, eps=1e-12)
    y, _ = layer.forward(x, drawn(layer, (6, 3, 2)), Context())
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axes), 1, atol=1e-10)


def test_norms_are_left_alone_by_weight_decay():
    assert [w.decays for w in LayerNorm().weights((3, 2, 2)).values()] == [False, False]


def test_spatial_dropout_drops_whole_channels():
    y, back = Dropout(of="channels").forward(np.ones((50, 8, 3, 2)), {}, TRAINING)
    each = y.reshape(400, 6)
    assert np.array_equal(each, np.repeat(each[:, :1], 6, axis=1))
    assert 150 < np.count_nonzero(each[:, 0] == 2) < 250
    assert np.array_equal(back(np.ones_like(y))[0], y)


def test_branches_by_hand():
    x = np.array([[[[1.0, -2]]]])
    for join, wanted in (("concat", [1, 0, 1, -2]), ("add", [2, -2]), ("mean", [1, -1])):
        layer = Parallel(branches=[["relu"], []], join=join)
        y, back = layer.forward(x, {}, Context())
        assert y.ravel().tolist() == wanted
        assert y.shape[1:] == layer.output_shape((1, 1, 2))
        half = 2 if join == "mean" else 1
        dy = np.arange(1.0, y.size + 1).reshape(y.shape)
        dx = back(dy)[0].ravel().tolist()
        assert dx == ([1 + 3, 4] if join == "concat" else [2 / half, 2 / half])


def test_names_of_branches():
    layer = Parallel(branches=[[Dense(units=2)], ["relu", Dense(units=3)]])
    wanted = [
        "0_branch/0_dense/W",
        "0_branch/0_dense/b",
        "1_branch/1_dense/W",
        "1_branch/1_dense/b",
    ]
    assert list(declared(layer.weights((4,)))) == wanted
    assert layer.macs((4,)) == 20


def test_branches_that_do_not_fit_name_both():
    block = Parallel(branches=[["relu"], [Conv(filters=3, kernel=3)]])
    with pytest.raises(ShapeError) as caught:
        Sequential(layers=["relu", block]).output_shape((3, 5, 5))
    assert str(caught.value) == (
        "layer 2 (parallel) cannot join its branches: branch 1 gives (3,5,5), branch 2 (3,3,3); "
        "expected (C,5,5) from each; shapes: input (3,5,5) -> 1 relu (3,5,5) -> 2 parallel; "
        'keep the shape (padding = "same", stride 1) or change it alike in each branch'
    )


def test_a_layer_in_a_branch_is_named_with_its_branch():
    block = Parallel(branches=[["relu"], ["relu", Conv(filters=3, kernel=9)]])
    with pytest.raises(ShapeError) as caught:
        Sequential(layers=[block]).output_shape((3, 5, 5))
    assert caught.value.place == "layer 1 (parallel) > branch 2 layer 2 (conv)"
    assert caught.value.path == ("layers", 0, "branches", 1, 1)


def test_a_projection_takes_the_stride_and_filters_of_the_body():
    layer = Residual(body=[Conv(filters=6, kernel=3, padding="same", stride=2)], project=True)
    assert layer.output_shape((4, 7, 8)) == (6, 4, 4)
    weights = declared(layer.weights((4, 7, 8)))
    assert {path: w.shape for path, w in weights.items()} == {
        "0_conv/W": (6, 4, 3, 3), "0_conv/b": (6,), "shortcut/0_conv/W": (6, 4, 1, 1),
    }  # fmt: skip
    assert layer.macs((4, 7, 8)) == (6 * 4 * 9 + 6 * 4) * 16
    x, w = np.random.default_rng(1).standard_normal((2, 4, 7, 8)), drawn(layer, (4, 7, 8))
    body, _ = layer.body[0].forward(x, w["0_conv"], Context())
    around = np.einsum("nchw,fc->nfhw", x[:, :, ::2, ::2], w["shortcut"]["0_conv"]["W"][:, :, 0, 0])
    np.testing.assert_allclose(layer.forward(x, w, Context())[0], body + around, atol=1e-12)


def test_where_shapes_agree_nothing_is_projected():
    body = [Conv(filters=4, kernel=3, padding="same")]
    one, two = (Residual(body=body, project=project) for project in (False, True))
    assert declared(one.weights((4, 5, 5))) == declared(two.weights((4, 5, 5)))


@pytest.mark.parametrize("body", [[Dense(units=3)], [Conv(filters=4, kernel=2)]])
def test_what_no_projection_can_mend_is_refused(body):
    shape = (4, 5, 5) if isinstance(body[0], Conv) else (4,)
    with pytest.raises(ShapeError, match="cannot add its body's output"):
        Residual(body=body, project=True).output_shape(shape)


def test_a_projection_beside_a_shortcut_is_refused():
    with pytest.raises(OptionError, match="project needs an empty shortcut"):
        Residual(body=["relu"], shortcut=["relu"], project=True)


def test_stochastic_depth_keeps_the_mean_and_drops_whole_samples():
    layer, x = Residual(body=["relu"], drop=0.25), np.ones((4000, 3))
    y, back = layer.forward(x, {}, TRAINING)
    assert np.array_equal(np.unique(y), [1, 1 + 1 / 0.75])
    assert all(len(set(row)) == 1 for row in y.tolist())
    assert y.mean() == pytest.approx(2, abs=0.05)
    assert np.array_equal(back(np.ones_like(x))[0], y)
    assert np.array_equal(layer.forward(x, {}, Context())[0], 2 * x)


def test_depthwise_separable_is_its_two_convolutions():
    layer = DepthwiseSeparable(filters=5, kernel=[3, 1], between=["relu"])
    w = drawn(layer, (4, 6, 6))
    assert {path: a.shape for path, a in flatten(w).items()} == {
        "0_conv/W": (4, 1, 3, 1), "2_conv/W": (5, 4, 1, 1), "2_conv/b": (5,),
    }  # fmt: skip
    assert layer.macs((4, 6, 6)) == 36 * (4 * 3 + 4 * 5)


def test_squeeze_excite_by_hand():
    layer = SqueezeExcite(ratio=2)
    w = {"1_dense": {"W": np.array([[1.0], [1]]), "b": np.zeros(1)},
         "3_dense": {"W": np.array([[0.0, np.log(3)]]), "b": np.zeros(2)}}  # fmt: skip
    x = np.array([[[[0.0, 1]], [[1, 0]]]])  # means 1/2 and 1/2: squeezed to 1
    y, _ = layer.forward(x, w, Context())
    np.testing.assert_allclose(y, [[[[0, 0.5]], [[0.75, 0]]]], atol=1e-15)
    assert layer.weights((3, 2, 2))["1_dense"]["W"].shape == (3, 1)
