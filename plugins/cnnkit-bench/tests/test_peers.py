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
QUICK = ["--batch", "1", "--large", "5", "--threads", "1", "--repeats", "1", "--steps", "1"]


def bench(spec, peer, capsys, *more):
    """Return {section: what it says of the peer}."""
    assert main(["bench", str(spec), "--against", peer, *QUICK, "--json", *more]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["out"] == []
    return {f"{s['mode']} {s['batch']}": s["rows"][1] for s in report["sections"]}


def timed(rows):
    return {name for name, row in rows.items() if "us_per_image" in row}


@pytest.mark.parametrize("peer", ["torch", "torch-channels-last", "keras-tensorflow",
                                  "keras-jax", "onnxruntime", "loops"])  # fmt: skip
def test_agrees(peer, write_spec, capsys):
    for module in PEERS[peer].needs:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
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


@pytest.mark.parametrize("peer", ["torch", "keras-tensorflow", "keras-jax"])
def test_adam_agrees(peer, write_spec, capsys):
    for module in PEERS[peer].needs:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    spec = write_spec(UNTIED.replace('"untied"', '"tied"'))
    text = spec.read_text().replace('type = "sgd"', 'type = "adam"').replace("momentum = 0.9\n", "")
    spec.write_text(text.replace("lr = 0.1", "lr = 0.01"))
    rows = bench(spec, peer, capsys)
    assert "training 1" in timed(rows), rows
