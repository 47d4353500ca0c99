"""`cnnkit show --profile`: every layer once, in the order of the spec."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cnnkit.cli import main
from cnnkit.engine.profile import profile
from cnnkit.layers import Conv, Dense, Pool, Relu, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.model import Model
from cnnkit.plan import make_plan

TINY = str(Path(__file__).parents[2] / "specs" / "tiny.toml")


def test_flops_and_times():
    layers = [Pool(), Conv(filters=3, kernel=3), Relu(), Dense(units=4), Softmax(units=2)]
    model = Model.build(layers, (1, 10, 10), classes=("a", "b"))
    rows = profile(model, make_plan(model.network, CrossEntropy()), batch=4, repeats=3)
    assert [row.path for row in rows] == [
        "0_pool",
        "1_conv",
        "2_relu",
        "3_dense",
        "4_softmax",
        "loss",
    ]
    # conv: 3 filters x 9 taps on 3x3 positions; it is the first to learn, so no dx. dense: 27 x 4.
    assert [(row.forward_flops, row.backward_flops) for row in rows] == [
        (0, 0), (486, 486), (0, 0), (216, 432), (16, 32), (0, 0),
    ]  # fmt: skip
    assert all(row.forward > 0 for row in rows)
    assert [row.path for row in rows if row.backward == 0] == ["0_pool", "loss"]
    before = np.array(model.weights["1_conv"]["W"])
    assert np.array_equal(before, model.weights["1_conv"]["W"])


def test_the_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["show", TINY, "--profile"]) == 0
    out = capsys.readouterr().out
    rows = [line.split()[:2] for line in out.splitlines() if line and "─" not in line]
    assert rows[:7] == [
        ["layer", "type"], ["1", "conv"], ["2", "relu"], ["3", "pool"], ["4", "dense"],
        ["5", "relu"], ["6", "softmax"],
    ]  # fmt: skip
    assert rows[7][0] == "loss"
    assert "16 images at a time as for a batch of 32" in " ".join(out.split())


def test_the_document(capsys):
    assert main(["show", TINY, "--profile", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["input"] == [1, 8, 8]
    assert set(document["profile"][0]) == {
        "path", "type", "forward", "backward", "forward_flops", "backward_flops",
    }  # fmt: skip
