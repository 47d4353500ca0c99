"""Shape rules against cited tables, every spec's shapes, and what a misfit is told.

Sources: Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning (2016), the
figures named below; the examples of the ONNX operators Conv, MaxPool and AveragePool,
https://onnx.ai/onnx/operators/. Every other line was computed by hand.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import cnnkit
from cnnkit.arrays import flatten
from cnnkit.base import Context, DataPaths
from cnnkit.base.weight import count, draw
from cnnkit.errors import OptionError, ShapeError
from cnnkit.layers import Conv, Dense, Dropout, Flatten, Pool, Relu, Residual, Sequential, Softmax
from cnnkit.model import Model
from cnnkit.runs.data import load_data
from cnnkit.specfile.load import load_spec

SPECS = Path(__file__).parent.parent / "specs"

CONV = [  # options, (H, W) -> (H', W'), source
    ({"kernel": 3}, (4, 4), (2, 2), "guide 2.1"),
    ({"kernel": 4, "padding": 2}, (5, 5), (6, 6), "guide 2.2"),
    ({"kernel": 3, "padding": "same"}, (5, 5), (5, 5), "guide 2.3, half padding"),
    ({"kernel": 3, "padding": 1}, (5, 5), (5, 5), "guide 2.3"),
    ({"kernel": 3, "padding": 2}, (5, 5), (7, 7), "guide 2.4, full padding"),
    ({"kernel": 3, "stride": 2}, (5, 5), (2, 2), "guide 2.5"),
    ({"kernel": 3, "stride": 2, "padding": 1}, (5, 5), (3, 3), "guide 2.6"),
    ({"kernel": 3, "stride": 2, "padding": 1}, (6, 6), (3, 3), "guide 2.7, a row left over"),
    ({"kernel": 3, "dilation": 2}, (7, 7), (3, 3), "guide 5.1"),
    ({"kernel": 3, "stride": 2, "padding": 1}, (7, 5), (4, 3), "ONNX conv_with_strides_padding"),
    ({"kernel": 3, "stride": 2}, (7, 5), (3, 2), "ONNX conv_with_strides_no_padding"),
    (
        {"kernel": 3, "stride": 2, "padding": [1, 0]},
        (7, 5),
        (4, 2),
        "ONNX conv_with_strides_and_asymmetric_padding",
    ),
    ({"kernel": 3, "stride": 2, "padding": "same"}, (5, 5), (3, 3), "ONNX conv_with_autopad_same"),
    ({"kernel": 5, "padding": "same"}, (28, 28), (28, 28), "the seed's"),
    ({"kernel": 5}, (28, 28), (24, 24), "LeNet's first"),
    ({"kernel": 2}, (3, 3), (2, 2), "even: as many positions as cells to put its corner"),
    ({"kernel": 2, "padding": "same"}, (3, 3), (3, 3), "even"),
    ({"kernel": 4, "padding": "same", "stride": 3}, (7, 8), (3, 3), "ceil(7/3), ceil(8/3)"),
    ({"kernel": [1, 5], "padding": "same"}, (4, 9), (4, 9), "a row kernel"),
    ({"kernel": [3, 2], "stride": [1, 2]}, (5, 7), (3, 3), "(5-3)/1+1, floor((7-2)/2)+1"),
    ({"kernel": 3, "dilation": [1, 3], "padding": "same"}, (6, 6), (6, 6), "dilated, same"),
    ({"kernel": 3, "padding": [[0, 1], [2, 0]]}, (4, 4), (3, 4), "4+1-3+1, 4+2-3+1"),
    ({"kernel": 1, "stride": 4}, (9, 8), (3, 2), "floor((9-1)/4)+1, floor((8-1)/4)+1"),
    ({"kernel": 6, "padding": 3}, (1, 1), (2, 2), "padding lets it fit: 1+6-6+1"),
]
POOL = [  # size, stride, (H, W) -> (H', W'), source
    (3, 1, (5, 5), (3, 3), "guide 1.5 and 1.6"),
    (2, 1, (32, 32), (31, 31), "ONNX maxpool_2d_default, averagepool_2d_default"),
    (5, 3, (32, 32), (10, 10), "ONNX maxpool_2d_strides, averagepool_2d_strides"),
    (2, 2, (5, 5), (2, 2), "ONNX maxpool_2d_precomputed_strides"),
    (2, None, (28, 28), (14, 14), "the seed's"),
    (2, None, (7, 9), (3, 4), "odd rows and columns are left out"),
    ([2, 3], None, (5, 7), (2, 2), "touching windows of 2x3"),
    ([2, 3], [3, 1], (6, 4), (2, 2), "gaps down, overlaps across"),
    (4, None, (4, 4), (1, 1), "global"),
    (1, 3, (7, 7), (3, 3), "every third cell"),
]


@pytest.mark.parametrize(("options", "size", "expected", "source"), CONV)
def test_conv_shape_rule(options, size, expected, source):
    layer = Conv(filters=5, **options)
    assert layer.output_shape((2, *size)) == (5, *expected), source
    x = np.zeros((1, 2, *size))
    weights = draw(layer.weights((2, *size)), np.random.default_rng(0), np.float64)
    assert layer.forward(x, weights, Context())[0].shape == (1, 5, *expected)


@pytest.mark.parametrize(("size", "stride", "before", "expected", "source"), POOL)
@pytest.mark.parametrize("kind", ["max", "min", "mean"])
def test_pool_shape_rule(size, stride, before, expected, source, kind):
    layer = Pool(kind=kind, size=size, stride=stride)
    assert layer.output_shape((3, *before)) == (3, *expected), source
    assert layer.forward(np.zeros((2, 3, *before)), {}, Context())[0].shape == (2, 3, *expected)


def test_same_padding_puts_the_odd_row_at_the_bottom_and_right():
    """ONNX's SAME_UPPER, Keras's "same": of one missing row, the end gets it."""
    x = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    w = {"W": np.ones((1, 1, 2, 2))}
    y, _ = Conv(filters=1, kernel=2, padding="same", bias="none").forward(x, w, Context())
    assert y[0, 0].tolist() == [[12, 16, 9], [24, 28, 15], [15, 17, 9]]


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Dense(units=7), (3, 4, 5), (7,)),
        (Dense(units=7), (9,), (7,)),
        (Flatten(), (3, 4, 5), (60,)),
        (Relu(), (3, 4, 5), (3, 4, 5)),
        (Dropout(), (9,), (9,)),
        (Softmax(), (4,), (4,)),
        (Softmax(units=3), (2, 5, 5), (3,)),
        (Residual(body=[Conv(filters=3, kernel=3, padding="same")]), (3, 6, 5), (3, 6, 5)),
        (Sequential(layers=[Conv(filters=3, kernel=3), Pool(), Flatten()]), (1, 8, 8), (27,)),
    ],
)
def test_other_shape_rules(layer, shape, expected):
    assert layer.output_shape(shape) == expected


# --- every spec ---------------------------------------------------------------------------------

SEED_STACK = [(6, 28, 28)] * 4 + [(6, 14, 14), (100,), (100,), (10,)]
GOLDEN = {  # file -> (input, output of each layer, weights), all by hand
    # 6*25 + 6, 6*6*25 + 6, (6*14*14 + 1) * 100, 101 * 10
    "simple.toml": ((1, 28, 28), SEED_STACK, 156 + 906 + 117_700 + 1_010),
    # with a bias per position: 6*28*28 = 4 704 of them
    "seed.toml": ((1, 28, 28), SEED_STACK, 150 + 900 + 2 * 4_704 + 117_700 + 1_010),
    # conv 80; body 1 168 + 2 320, shortcut 144; then 2 320 and the inner 2 320; 785 * 10
    "residual.toml": (
        (1, 28, 28),
        [(8, 28, 28), (8, 28, 28), (8, 14, 14), (16, 14, 14), (16, 14, 14), (16, 7, 7)]
        + [(16, 7, 7)] * 3
        + [(10,)],
        80 + 1_168 + 2_320 + 144 + 2_320 + 2_320 + 7_850,
    ),
    # conv 8*1*9 + 8; dense 8*4*4*32 + 32; softmax 32*10 + 10
    "tiny.toml": ((1, 8, 8), [(8, 8, 8)] * 2 + [(8, 4, 4), (32,), (32,), (10,)], 80 + 4_128 + 330),
    # conv 8*1*9 + 8 and 8*8*9 + 8; dense 8*7*7*32 + 32; sigmoid 32 + 1
    "binary.toml": (
        (1, 28, 28),
        [(8, 28, 28)] * 2 + [(8, 14, 14)] * 3 + [(8, 7, 7), (32,), (32,), (1,)],
        80 + 584 + 12_576 + 33,
    ),
    # 784*150 + 150 and 150*10 + 10
    "mlp.toml": ((1, 28, 28), [(150,)] * 2 + [(10,)], 117_750 + 1_510),
    # conv 6*1*25 + 6 and 16*6*25 + 16; dense 16*5*5*120 + 120, 120*84 + 84, 84*10 + 10
    "lenet.toml": (
        (1, 28, 28),
        [(6, 28, 28)] * 2
        + [(6, 14, 14)]
        + [(16, 10, 10)] * 2
        + [(16, 5, 5)]
        + [(120,)] * 2
        + [(84,)] * 2
        + [(10,)],
        156 + 2_416 + 48_120 + 10_164 + 850,
    ),
    # conv 9*inputs*filters, and four numbers per channel of a batch_norm, in units of two layers
    "deep.toml": (
        (1, 28, 28),
        [(32, 28, 28)] * 2
        + [(32, 14, 14)]
        + [(64, 14, 14)] * 2
        + [(64, 7, 7)]
        + [(128, 7, 7)] * 2
        + [(128,)] * 2
        + [(10,)],
        (288 + 128)
        + (9_216 + 128)
        + (18_432 + 256)
        + (36_864 + 256)
        + (73_728 + 512)
        + (147_456 + 512)
        + 1_290,
    ),
    # depthwise 9*inputs, pointwise inputs*filters, four numbers per channel behind each; in a stage
    # a unit, squeeze_excite C*C/4 twice with C/4 + C, and three or two residuals
    "mobile.toml": (
        (1, 28, 28),
        [(32, 28, 28)] * 3 + [(64, 14, 14), (128, 7, 7)] + [(128,)] * 2 + [(10,)],
        (288 + 128)
        + (288 + 128 + 2_048 + 256)
        + (1_024 + 16 + 1_024 + 64)
        + 3 * (576 + 256 + 4_096 + 256)
        + (576 + 256 + 8_192 + 512)
        + (4_096 + 32 + 4_096 + 128)
        + 2 * (1_152 + 512 + 16_384 + 512)
        + 1_290,
    ),
    # a unit and a residual of two, behind a pool from the second stage on
    "resnet.toml": (
        (1, 28, 28),
        [(32, 28, 28)] * 2 + [(64, 14, 14), (128, 7, 7), (128,), (128,), (10,)],
        (288 + 128)
        + 2 * (9_216 + 128)
        + (18_432 + 256)
        + 2 * (36_864 + 256)
        + (73_728 + 512)
        + 2 * (147_456 + 512)
        + 1_290,
    ),
}
GOLDEN["best.toml"] = GOLDEN["resnet.toml"]


def spec_layers(path):
    return load_spec(path).model.layers


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.toml")), ids=lambda path: path.name)
def test_golden_shapes_of_every_spec(path):
    assert path.name in GOLDEN, "compute the shapes by hand and add them to GOLDEN"
    shape, shapes, weights = GOLDEN[path.name]
    layers = spec_layers(path)
    model = Model.build(layers, shape)
    assert [after for _, after in model.shapes()] == shapes
    assert sum(row.weights for row in model.summary()) == weights
    assert sum(count(a.weights(s)) for a, s in zip(layers, [shape, *shapes])) == weights  # noqa: B905
    y = model.predict(np.zeros((2, *shape), np.float32))
    assert y.shape == (2, *shapes[-1])


REAL = Path(os.environ.get("CNNKIT_DATA_DIR", "no such folder"))


@pytest.mark.skipif(
    not (REAL / "fashion-mnist").is_dir(), reason="CNNKIT_DATA_DIR holds no Fashion-MNIST"
)
@pytest.mark.parametrize(
    "path",
    sorted(path for path in SPECS.glob("*.toml") if load_spec(path).data.type == "fashion_mnist"),
    ids=lambda path: path.name,
)
def test_every_spec_takes_a_few_steps_on_real_images(path, tmp_path):
    spec = load_spec(path)
    data = load_data(spec.data, DataPaths(data_dir=REAL, cache_dir=tmp_path), False)[0].train
    how = {"epochs": 2, "batch": 32, "callbacks": [], "quiet": True}
    run = cnnkit.fit(spec, data.images[:64], data.labels[:64], **how)
    before = Model.build(spec_layers(path), (1, 28, 28), seed=run.spec.seed).weights
    weights = flatten(run.model.weights)
    assert sum(w.size for w in weights.values()) == GOLDEN[path.name][2]
    assert all(np.isfinite(w).all() for w in weights.values())
    still = [path for path, w in flatten(before).items() if np.array_equal(w, weights[path])]
    assert still == []
    assert run.history[-1].train_loss < 4


# --- what a misfit is told ----------------------------------------------------------------------

FIT_HELP = 'use padding = "same", a smaller kernel, or drop a pool before it'
ERRORS = [
    (
        Conv(filters=8, kernel=5),
        (6, 3, 3),
        "cannot cover its input: kernel 5 does not fit the 3x3 map; "
        f'expected kernel <= 3 with padding "valid"; {FIT_HELP}',
        "kernel",
    ),
    (
        Conv(filters=8, kernel=[2, 6], padding=1),
        (6, 9, 3),
        "cannot cover its input: kernel 2x6 does not fit the 9x3 map; "
        f"expected kernel <= 11x5 with padding ((1, 1), (1, 1)); {FIT_HELP}",
        "kernel",
    ),
    (
        Conv(filters=8, kernel=3, dilation=4),
        (6, 8, 8),
        "cannot cover its input: kernel 3 with dilation 4 does not fit the 8x8 map; "
        'expected dilation * (kernel - 1) + 1 <= 8 with padding "valid"; use padding = "same", '
        "a smaller kernel or dilation, or drop a pool before it",
        "dilation",
    ),
    (
        Conv(filters=8, kernel=1, groups=4),
        (6, 3, 3),
        "cannot split 6 input channels into 4 groups; expected a divisor of 6; choose groups "
        "that divide both the input channels and the filters",
        "groups",
    ),
    (
        Conv(filters=8, kernel=1, groups=3),
        (6, 3, 3),
        "cannot split 8 filters into 3 groups; expected a divisor of 8; choose groups that "
        "divide both the input channels and the filters",
        "groups",
    ),
    (
        Conv(filters=8, kernel=1),
        (100,),
        "needs images of shape (C,H,W), but is given (100); put it before any flatten or dense "
        "layer",
        "",
    ),
    (
        Pool(),
        (4, 5),
        "needs images of shape (C,H,W), but is given (4,5); give the images a channel, (1,4,5); "
        "of arrays, by x[:, None]",
        "",
    ),
    (
        Pool(size=4),
        (6, 3, 5),
        "cannot pool its input: the 4x4 window does not fit the 3x5 map; expected size <= 3; use a "
        "smaller size, or drop a pool before it",
        "size",
    ),
    (
        Pool(size=[1, 9]),
        (6, 3, 5),
        "cannot pool its input: the 1x9 window does not fit the 3x5 map; expected size <= 3x5; use "
        "a smaller size, or drop a pool before it",
        "size",
    ),
    (
        Residual(body=[Conv(filters=8, kernel=3, padding="same")]),
        (6, 5, 5),
        "cannot add its body's output (8,5,5) to its shortcut's (6,5,5); expected (6,5,5) from "
        'the body; keep the shape in the body (padding = "same", stride 1, as many filters as '
        "channels), or give a shortcut that changes it alike, such as a 1x1 conv",
        "body",
    ),
    (
        Residual(body=["relu"], shortcut=[Conv(filters=8, kernel=3)]),
        (6, 5, 5),
        "cannot add its body's output (6,5,5) to its shortcut's (8,3,3); expected (8,3,3) from "
        'the body; keep the shape in the body (padding = "same", stride 1, as many filters as '
        "channels), or give a shortcut that changes it alike, such as a 1x1 conv",
        "shortcut",
    ),
]


@pytest.mark.parametrize(("layer", "shape", "text", "option"), ERRORS)
def test_a_misfit_is_told_why(layer, shape, text, option):
    with pytest.raises(ShapeError) as caught:
        layer.output_shape(shape)
    assert str(caught.value) == text
    assert caught.value.option == option


def test_a_misfit_in_a_stack_is_told_where():
    stack = [Conv(filters=6, kernel=3), "relu", Pool(), Pool(), Conv(filters=8, kernel=5), "relu"]
    with pytest.raises(ShapeError) as caught:
        Model.build(Sequential(layers=stack).layers, (1, 14, 14))
    assert str(caught.value) == (
        "layer 5 (conv) cannot cover its input: kernel 5 does not fit the 3x3 map; expected "
        'kernel <= 3 with padding "valid"; shapes: input (1,14,14) -> 1 conv (6,12,12) -> 2 relu '
        f"(6,12,12) -> 3 pool (6,6,6) -> 4 pool (6,3,3) -> 5 conv; {FIT_HELP}"
    )
    assert caught.value.path == ("layers", 4)


def test_a_misfit_two_containers_deep_is_told_where():
    inner = Residual(body=["relu", Conv(filters=2, kernel=9)])
    stack = Sequential(layers=[Pool(), Residual(body=["relu"], shortcut=["relu", inner])])
    with pytest.raises(ShapeError) as caught:
        stack.output_shape((2, 12, 12))
    assert caught.value.place == "layer 2 (residual) > shortcut layer 2 (residual) > layer 2 (conv)"
    assert caught.value.path == ("layers", 1, "shortcut", 1, "body", 1)
    assert caught.value.trail == (
        "input (2,12,12) -> 1 pool (2,6,6) -> 2 residual: input (2,6,6) -> 1 relu (2,6,6) -> "
        "2 residual: input (2,6,6) -> 1 relu (2,6,6) -> 2 conv"
    )
    assert str(caught.value) == (
        "layer 2 (residual) > shortcut layer 2 (residual) > layer 2 (conv) cannot cover its input: "
        'kernel 9 does not fit the 6x6 map; expected kernel <= 6 with padding "valid"; shapes: '
        f"{caught.value.trail}; {FIT_HELP}"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": 0},
        {"kernel": -1},
        {"kernel": 3, "stride": 0},
        {"kernel": [3]},
        {"kernel": 2.0},
        {"kernel": 3, "filters": 0},
        {"kernel": 3, "padding": -1},
        {"kernel": 3, "padding": "full"},
        {"kernel": 3, "padding": [1, 2, 3]},
        {"kernel": 3, "padding": [[1, 2], 3.0]},
        {"kernel": 3, "padding": True},
        {"kernel": 3, "groups": 0},
        {"kernel": 3, "bias": "untie"},
        {"kernel": 3, "dilation": [1, 0]},
        {"kernel": True},
        {"kernel": 2**40},
    ],
)
def test_sizes_that_no_map_could_have(options):
    with pytest.raises(OptionError):
        Conv(**{"filters": 2, **options})
