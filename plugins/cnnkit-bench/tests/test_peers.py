"""Every peer that is installed computes what cnnkit does, forward and after two training steps."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
from cnnkit.cli import main

from cnnkit_bench.peers import PEERS

STACK = """
{ type = "conv", filters = 4, kernel = [3, 2], padding = "same", stride = 2 }, "relu",
{ type = "residual", body = [
    { type = "conv", filters = 4, kernel = 3, padding = "same", dilation = 2, bias = "none" },
    { type = "pool", kind = "mean", size = 1 },
] },
{ type = "conv", filters = 6, kernel = 2, padding = [[0, 1], [1, 0]] },
{ type = "pool", kind = "min", size = [3, 2], stride = 1 }, "flatten",
{ type = "dense", units = 7 }, "sigmoid", { type = "dropout", rate = 0.0 },
{ type = "softmax", units = 10 },
"""
GROUPS = """
{ type = "conv", filters = 4, kernel = 2 }, "relu",
{ type = "conv", filters = 4, kernel = 3, groups = 2, padding = 1 }, "relu",
{ type = "pool", size = 2 }, { type = "dense", units = 9, bias = "none" },
{ type = "softmax", units = 10 },
"""
UNTIED = """
{ type = "conv", filters = 3, kernel = 3, padding = "same", bias = "untied" }, "relu",
{ type = "softmax", units = 10 },
"""
NORM = """
{ type = "conv", filters = 4, kernel = 3, padding = "same", bias = "none" },
{ type = "batch_norm", eps = 0.01, momentum = 0.3 }, "relu", "pool",
{ type = "residual", body = [
    { type = "conv", filters = 4, kernel = 3, padding = "same" }, "batch_norm", "relu",
] },
{ type = "dropout", rate = 0.5 }, { type = "global_pool", kind = "KIND" },
{ type = "dense", units = 6 }, "batch_norm", { type = "softmax", units = 10 },
"""
QUICK = ["--large", "5", "--threads", "1", "--repeats", "1", "--steps", "1"]


def bench(spec, peer, capsys, batch=1):
    """Return {section: what it says of the peer}."""
    how = ["--batch", str(batch), *QUICK]
    assert main(["bench", str(spec), "--against", peer, *how, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["out"] == []
    return {f"{s['mode']} {s['batch']}": s["rows"][1] for s in report["sections"]}


def need(peer):
    for module in PEERS[peer].needs:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def timed(rows):
    return {name for name, row in rows.items() if "us_per_image" in row}


@pytest.mark.parametrize("peer", ["torch", "torch-channels-last", "keras-tensorflow",
                                  "keras-jax", "onnxruntime", "loops"])  # fmt: skip
def test_agrees(peer, write_spec, capsys):
    need(peer)
    everything = {"training 1", "inference 1", "inference 5"}
    expected = {
        "onnxruntime": {"inference 1", "inference 5"},
        "loops": {"training 1", "inference 1"},
    }.get(peer, everything)
    rows = bench(write_spec(STACK), peer, capsys)
    assert timed(rows) == expected, rows
    groups = bench(write_spec(GROUPS), peer, capsys)
    assert not any(row.keys() & {"mismatch"} for row in groups.values()), groups
    untied = bench(write_spec(UNTIED), peer, capsys)
    if peer.startswith("keras"):
        assert untied["inference 1"]["cannot"] == "cannot express layer 1 (conv)"
    else:
        assert timed(untied) == expected, untied


@pytest.mark.parametrize("kind", ["mean", "max"])
@pytest.mark.parametrize("peer", ["torch", "torch-channels-last", "keras-tensorflow",
                                  "keras-jax", "onnxruntime"])  # fmt: skip
def test_batch_norm_agrees_with_its_running_values_and_beside_a_dropout(
    peer, kind, write_spec, capsys
):
    need(peer)
    rows = bench(write_spec(NORM.replace("KIND", kind)), peer, capsys, batch=3)
    training = set() if peer == "onnxruntime" else {"training 3"}
    assert timed(rows) == {*training, "inference 3", "inference 5"}, rows


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("peer", ["torch", "keras-tensorflow", "keras-jax"])
def test_optimizers_agree_with_a_weight_decay_that_spares_biases(peer, kind, write_spec, capsys):
    need(peer)
    spec = write_spec(UNTIED.replace('"untied"', '"tied"'))
    text = spec.read_text().replace('type = "sgd"', f'type = "{kind}"\nweight_decay = 0.5')
    if kind != "sgd":
        text = text.replace("momentum = 0.9\n", "").replace("lr = 0.1", "lr = 0.01")
    spec.write_text(text)
    rows = bench(spec, peer, capsys)
    assert "training 1" in timed(rows), rows
