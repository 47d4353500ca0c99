"""`cnnkit show`: figures counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnnkit.arrays import size
from cnnkit.layers import Conv, Dense, Flatten, Relu, Residual, Sequential
from cnnkit.summary import layer_rows

TABLE = """\
tiny: digits, images of (1,8,8)

layer   type      output    weights    MACs    memory
─────────────────────────────────────────────────────
1       conv      (4,8,8)        40   2,304   1.0 KiB
2       relu      (4,8,8)         -       -   1.0 KiB
3       pool      (4,4,4)         -       -     256 B
4       softmax   (10)          650     640      40 B
─────────────────────────────────────────────────────
total                           690   2,944   2.3 KiB

MACs (multiply-accumulates) and memory (outputs of layers, float32) are per
image; a batch of 32 takes 73.2 KiB.
"""  # the output, as it is


def test_the_table(call, tiny):
    outcome = call("show", "tiny.toml")
    # 4*(1*9) + 4; 4*8*8*9; 4*8*8*4 bytes; 64*10 + 10; 64*10; (256+256+64+10)*4*32 = 75,008 bytes
    assert (outcome.code, outcome.out, outcome.err) == (0, TABLE, "")


def test_json(call, tiny):
    document = json.loads(call("show", "tiny.toml", "--json").out)
    assert document["input"] == [1, 8, 8]
    assert document["total"] == {"weights": 690, "macs": 2944, "bytes": 4 * 586}
    assert document["layers"][3] == {
        "place": "4", "depth": 0, "type": "softmax", "shape": [10],
        "weights": 650, "macs": 640, "bytes": 40,
    }  # fmt: skip


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


def test_a_run_says_how_it_stands(call, tiny):
    assert call("run", "tiny.toml", "--out", "run").code == 0
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    test = json.loads(Path("run/summary.json").read_bytes())["test"]
    lines = call("show", "run").out.splitlines()
    assert lines[0] == "status               done after epoch 2"
    assert lines[1] == f"train loss           {records[1]['train_loss']:.4f}"
    assert f"validation accuracy  {records[1]['validation']['accuracy']:.4f}" in lines
    assert f"test accuracy        {test['accuracy']:.4f}" in lines
    assert lines[9:] == TABLE.splitlines()
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
