"""The verb, from the command line to its output, against the loops and against broken peers."""

from __future__ import annotations

import json
import os
import sys

import pytest
from cnnkit.cli import main

from cnnkit_bench import peers
from cnnkit_bench.peers import Kind

QUICK = ["--batch", "1", "--large", "0", "--threads", "1", "--repeats", "2", "--steps", "2"]


def test_json(write_spec, capsys):
    assert main(["bench", str(write_spec()), "--against", "loops", *QUICK, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(s["mode"], s["batch"]) for s in report["sections"]] == [
        ("training", 1),
        ("inference", 1),
    ]
    for section in report["sections"]:
        ours, loops = section["rows"]
        assert (ours["peer"], ours["threads"], ours["ratio_to_cnnkit"]) == ("cnnkit", 1, 1)
        assert (loops["peer"], len(loops["rounds"])) == ("loops", 2)
    macs = 4 * 64 * 9 + 4 * 16 * 12 + 12 * 10
    training = 6 * macs - 2 * 4 * 64 * 9  # the images need no gradient
    assert report["flop_per_image"] == {"training": training, "inference": 2 * macs}
    assert report["sgemm_gflops"]["1"] > 0
    assert report["versions"]["cnnkit"].startswith("cnnkit ")


def test_tables_name_peers_that_take_no_part(write_spec, capsys, monkeypatch):
    monkeypatch.setitem(peers.PEERS, "torch", Kind("pytorch:Torch", ("no_such_module",), "torch"))
    spec = write_spec()
    command = ["bench", str(spec), "--against", "loops,torch", "--batch", "2", *QUICK[2:]]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "training, batch 2" in out
    assert "not timed: loops: takes batches of 1 only" in out
    assert "not installed: torch: pip install 'cnnkit-bench[torch]'" in out


def test_a_layer_that_a_peer_cannot_express_is_named(write_spec, capsys):
    spec = write_spec('{ type = "dropout", rate = 0.5 }, { type = "softmax", units = 10 }')
    assert main(["bench", str(spec), "--against", "loops", *QUICK, "--json"]) == 0
    rows = [s["rows"][1] for s in json.loads(capsys.readouterr().out)["sections"]]
    assert [row["cannot"] for row in rows] == ["cannot express layer 1 (dropout)"] * 2


def test_a_peer_that_dies_is_reported_with_its_last_words(write_spec, capsys, monkeypatch):
    broken = Kind("no_such_file:Torch", ())
    monkeypatch.setitem(peers.PEERS, "torch", broken)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert main(["bench", str(write_spec()), "--against", "loops", *QUICK]) == 2
    assert capsys.readouterr().err == (
        "error: cnnkit (1 thread): its process ended: without a word\n"
    )


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (
            "model.dtype=float64",
            "error: bench compares float32 networks, and this one is float64\n"
            "   = help: add --set model.dtype=float32\n",
        ),
        *(
            (
                f"{option}={value}",
                f"error: bench cannot give peers the option {option.partition('.')[2]} of {of}\n"
                "   = help: leave it out of a copy of the spec: it hardly changes how long a step "
                "takes\n",
            )
            for option, value, of in (
                ("optimizer.clip", "1.0", "sgd"),
                ("optimizer.clip_value", "1.0", "sgd"),
                ("optimizer.accumulate", "2", "sgd"),
                ("loss.label_smoothing", "0.1", "cross_entropy"),
                ("loss.weights", "'balanced'", "cross_entropy"),
            )
        ),
    ],
)
def test_specs_that_peers_could_not_follow(write_spec, capsys, setting, text):
    assert main(["bench", str(write_spec()), "--set", setting, *QUICK]) == 2
    assert capsys.readouterr().err == text


@pytest.mark.parametrize("option", ["lr_scale = 2", "weight_decay = 0.1"])
def test_layers_that_learn_in_a_way_of_their_own(write_spec, capsys, option):
    dense = f'{{ type = "dense", units = 9, {option} }}'
    spec = write_spec(f'{dense}, {{ type = "softmax", units = 10 }}')
    assert main(["bench", str(spec), *QUICK]) == 2
    assert capsys.readouterr().err == (
        "error: bench cannot give peers the options lr_scale and weight_decay of "
        "layer 1 (dense)\n   = help: leave them out of a copy of the spec\n"
    )


def test_usage_errors_end_with_2(write_spec, capsys):
    assert main(["bench", str(write_spec()), "--against", "torhc"]) == 2
    assert "did you mean 'torch'?" in capsys.readouterr().err


FAST = '''
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Backend

class Fast(Backend):
    """As NumPy does it."""
    type: Literal["fast"] = "fast"

    def fuse(self, steps, dtype, training):
        return steps

@hookimpl
def cnnkit_backends():
    return [Fast]
'''


def test_a_row_for_each_backend(write_spec, tmp_path, monkeypatch, capsys):
    facts = tmp_path / "site" / "cnnkit_fast-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: cnnkit-fast\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[cnnkit]\nfast = cnnkit_fast\n")
    (facts.parent / "cnnkit_fast.py").write_text(FAST)
    monkeypatch.syspath_prepend(str(facts.parent))  # here, and in the workers
    monkeypatch.setenv("PYTHONPATH", str(facts.parent), prepend=os.pathsep)
    monkeypatch.delenv("CNNKIT_PLUGINS", raising=False)
    flags = "--backend numpy,fast --against loops --batch 1 --large 0 --threads 1 --repeats 1"
    code = main(["bench", str(write_spec()), *flags.split(), "--steps", "2", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0
    for section in report["sections"]:
        names = [row["peer"] for row in section["rows"]]
        assert names == ["cnnkit", "cnnkit-fast", "loops"]
        assert all(row["us_per_image"] > 0 for row in section["rows"])
