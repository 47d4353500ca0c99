"""`cnnkit show`: figures counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnnkit.arrays import size, unflatten
from cnnkit.base import Context
from cnnkit.base.weight import declared
from cnnkit.layers import (
    BatchNorm,
    Conv,
    Dense,
    DepthwiseSeparable,
    Flatten,
    GlobalPool,
    LayerNorm,
    Parallel,
    Pool,
    Relu,
    Residual,
    Sequential,
    SqueezeExcite,
)
from cnnkit.model import Model
from cnnkit.specfile.checks import training_memory
from cnnkit.specfile.load import load_spec
from cnnkit.summary import layer_rows

TABLE = """\
tiny: digits, images of (1,8,8)

layer  type     output   field  weights   MACs   memory
───────────────────────────────────────────────────────
1      conv     (4,8,8)    3x3       40  2,304  1.0 KiB
2      relu     (4,8,8)    3x3        -      -  1.0 KiB
3      pool     (4,4,4)    4x4        -      -    256 B
4      softmax  (10)       8x8      650    640     40 B
───────────────────────────────────────────────────────
total                               690  2,944  2.3 KiB

The field is what of the image, and of the padding around it, a value depends
on. MACs (multiply-accumulates) and memory (outputs of layers, float32) are per
image; a batch of 32 takes 73.2 KiB.
Training takes about TRAINING in all, gradients and optimizer included.
"""  # the output, as it is


@pytest.fixture
def shown(tiny) -> str:
    """The table, with what training takes on so many cores as there are."""
    training = sum(training_memory(load_spec(tiny), (1, 8, 8))[1])
    assert training > 32 * 4 * 586 + 4 * 690 * 4  # of activations; of weights, gradients and adam
    return TABLE.replace("TRAINING", size(training))


def test_the_table(call, tiny, shown):
    outcome = call("show", "tiny.toml")
    # 4*(1*9) + 4; 4*8*8*9; 4*8*8*4 bytes; 64*10 + 10; 64*10; (256+256+64+10)*4*32 = 75,008 bytes
    assert (outcome.code, outcome.out, outcome.err) == (0, shown, "")


def test_names_of_blocks_in_blocks_stay_whole(call):
    """At the 80 columns of a pipe."""
    out = call("show", str(Path(__file__).parents[2] / "specs" / "resnet.toml")).out
    assert "\n      unit_1  sequential   (64,14,14)  16x16   37,120   7,225,344" in out
    assert "\n5             global_pool  (128)       46x46        -           -" in out


def test_json(call, tiny):
    document = json.loads(call("show", "tiny.toml", "--json").out)
    assert document["input"] == [1, 8, 8]
    assert document["total"] == {"weights": 690, "macs": 2944, "bytes": 4 * 586}
    assert document["layers"][3] == {
        "place": "4",
        "depth": 0,
        "type": "softmax",
        "shape": [10],
        "weights": 650,
        "macs": 640,
        "bytes": 40,
        "field": [8, 8],
    }
    assert document["warnings"] == []
    assert document["training_bytes"] == sum(training_memory(load_spec(tiny), (1, 8, 8))[1])
    fields = [layer["field"] for layer in document["layers"]]
    assert fields == [[3, 3], [3, 3], [4, 4], [8, 8]]


def test_set_and_float64(call, tiny):
    arguments = ["--set", "model.layers.0.filters=8", "--set", "model.dtype=float64"]
    document = json.loads(call("show", "tiny.toml", "--json", *arguments).out)
    assert document["layers"][0]["shape"] == [8, 8, 8]
    assert document["layers"][0]["bytes"] == 8 * 8 * 8 * 8


def test_shapes_that_only_the_data_can_tell(call, tiny):
    tiny.write_text(tiny.read_text().replace('"digits"', '"npz"\npath = "later.npz"'))
    outcome = call("show", "tiny.toml")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: tiny.toml: shapes are unknown, since npz is known only once it is loaded; give "
        "the shape of an image as [model] input = [C, H, W]\n"
    )
    assert call("show", "tiny.toml", "--set", "model.input=[1, 8, 8]").code == 0


def test_a_run_says_how_it_stands(call, tiny, shown):
    assert call("run", "tiny.toml", "--out", "run").code == 0
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    test = json.loads(Path("run/summary.json").read_bytes())["test"]
    lines = call("show", "run").out.splitlines()
    assert lines[0] == "status               done after epoch 2"
    assert lines[1] == f"train loss           {records[1]['train_loss']:.4f}"
    assert f"validation accuracy  {records[1]['validation']['accuracy']:.4f}" in lines
    assert f"test accuracy        {test['accuracy']:.4f}" in lines
    assert lines[9:] == shown.splitlines()
    Path("run/status.json").write_text('{"status": "running", "epoch": 1}')  # and then killed
    lines = call("show", "run").out.splitlines()
    assert (
        lines[0]
        == "status               interrupted after epoch 1: it ended without a word: killed,"
    )
    assert json.loads(call("show", "run", "--json").out)["run"].keys() >= {"status", "train loss"}


def test_a_run_knows_shapes_that_only_its_data_could_tell(call, tiny):
    images = np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8)
    np.savez("some.npz", x_train=images, y_train=np.arange(40) % 10, x_test=images,
             y_test=np.arange(40) % 10)  # fmt: skip
    tiny.write_text(tiny.read_text().replace('"digits"', '"npz"\npath = "some.npz"'))
    assert call("run", "tiny.toml", "--out", "run").code == 0
    assert "tiny: npz, images of (1,8,8)" in call("show", "run").out


def test_containers_come_before_what_is_inside_and_include_it():
    conv = Conv(filters=2, kernel=1, padding="same")  # on (2,3,3): 4 + 2 weights, 36 MACs
    inner = Residual(body=[conv, Relu()], shortcut=[conv])
    rows = list(layer_rows([inner, Sequential(layers=[Flatten(), Dense(units=2)])], (2, 3, 3), 1))
    assert [(r.place, r.depth, r.weights, r.macs, r.memory) for r in rows] == [
        ("1", 0, 12, 72, 72),  # three outputs inside and the sum: 18 bytes each
        ("1.1", 1, 6, 36, 18),
        ("1.2", 1, 0, 0, 18),
        ("1.shortcut.1", 1, 6, 36, 18),
        ("2", 0, 38, 36, 20),  # a chain's output is its last layer's
        ("2.1", 1, 0, 0, 18),
        ("2.2", 1, 38, 36, 2),
    ]


def fields(layers, shape=(1, 32, 24)):
    return [row.field for row in layer_rows(layers, shape, 4)]


def test_the_receptive_field_is_what_a_value_depends_on():
    """Seen by a gradient: which pixels reach one value in the middle of the map."""
    layers = [
        Conv(filters=2, kernel=(3, 2), stride=(1, 2), padding="same"), BatchNorm(),
        Conv(filters=2, kernel=3, dilation=2, padding="same"),
        Pool(kind="mean", size=3, stride=2),
        Parallel(branches=[[Conv(filters=1, kernel=1)], [Conv(filters=1, kernel=3, padding=1)]]),
        DepthwiseSeparable(filters=2, kernel=(1, 3)),
    ]  # fmt: skip
    shape = (1, 48, 64)
    for depth in range(1, len(layers) + 1):
        network = Sequential(layers=layers[:depth]).lower()
        declares = declared(network.weights(shape))
        weights = unflatten({path: np.ones(w.shape) for path, w in declares.items()})
        y, back = network.forward(np.ones((1, *shape)), weights, Context(wants_dx=True))
        dy = np.zeros_like(y)
        dy[0, :, y.shape[2] // 2, y.shape[3] // 2] = 1
        rows, columns = np.nonzero(back(dy)[0][0, 0])
        seen = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        shown = [row.field for row in layer_rows(layers[:depth], shape, 4) if row.depth == 0]
        assert shown[-1] == seen


def test_layers_that_see_all_of_the_image_or_no_image():
    assert fields([Conv(filters=1, kernel=3), Flatten(), Relu(), Dense(units=2), Relu()]) == [
        (3, 3), (3, 3), (3, 3), (32, 24), (32, 24)
    ]  # fmt: skip
    touching = [Pool(), Conv(filters=1, kernel=3)]  # windows of 2, side by side
    assert fields(touching) == [(2, 2), (6, 6)]
    assert fields([GlobalPool(), Relu()]) == [(32, 24), (32, 24)]
    assert fields([Dense(units=3)], (7,)) == [()]


def test_layers_that_see_all_of_the_map_they_keep():
    """Seen by moving pixels: each one of the image changes the value in the middle of the map."""
    conv = Conv(filters=2, kernel=3, stride=2, padding=1)
    for layer in (SqueezeExcite(ratio=1), LayerNorm(over="sample"), LayerNorm()):
        network = [conv, Residual(body=[layer]), Conv(filters=1, kernel=1)]
        model = Model.build(network, (1, 9, 7), dtype="float64", seed=3)
        images = np.random.default_rng(0).standard_normal((1, 1, 9, 7)).repeat(64, axis=0)
        images.reshape(64, 63)[:63] += np.eye(63)
        middle = [*model.activations(images).values()][-1][:, 0, 2, 2]
        seen = (np.abs(middle[:63] - middle[63]) > 1e-12).reshape(9, 7)
        rows, columns = np.nonzero(seen)
        real = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
        assert (
            fields(network, (1, 9, 7))[-1] == real == ((3, 3) if layer == LayerNorm() else (9, 7))
        )


def test_the_padding_that_was_seen_is_seen_by_all_layers_behind():
    wide = Conv(filters=1, kernel=9, padding="same")
    for layer in (GlobalPool(), Dense(units=2), SqueezeExcite()):
        assert fields([wide, layer], (1, 8, 8)) == [(9, 9), (9, 9)]
    assert fields([Pool(), SqueezeExcite(), wide], (1, 8, 12))[1:] == [(8, 12), (24, 28)]
    assert fields([Flatten(), LayerNorm()]) == [(1, 1), (32, 24)]


def test_a_residual_sees_what_its_wider_way_sees():
    conv = Conv(filters=1, kernel=3, padding="same")
    assert fields([Residual(body=[conv, conv]), conv])[0::3] == [(5, 5), (7, 7)]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (2**40, "1024.0 GiB"),
    ],
)
def test_sizes(count, text):
    assert size(count) == text
