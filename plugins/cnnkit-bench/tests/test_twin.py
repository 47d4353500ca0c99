"""The twin: the batches and rates of the trainer, and a Keras that reaches the same."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
from cnnkit import load_spec
from cnnkit.arrays import FRESH
from cnnkit.cli import main
from cnnkit.engine.step import Gradients
from cnnkit.runs.data import data_paths
from cnnkit.runs.prepare import prepare
from cnnkit.runs.session import trainer_of
from cnnkit.workers import Threads

from cnnkit_bench import peers
from cnnkit_bench.fit import steps
from cnnkit_bench.peers import Kind

MOVING = 'data.transforms=["flip", {type = "shift", pixels = 1}, "scale"]'
NORM = """
{ type = "conv", filters = 4, kernel = 3, padding = "same", bias = "none" }, "batch_norm", "relu",
"pool", { type = "dense", units = 12 }, "relu", { type = "softmax", units = 10 },
"""


def test_steps_are_those_of_the_trainer(write_spec, monkeypatch):
    how = [MOVING, "train.subset=70", "train.epochs=2"]
    spec = load_spec(write_spec(), how)
    ready = prepare(spec, data_paths(spec))
    seen = []

    def compute(self, batch, threads):
        seen.append(batch)
        return original(self, batch, threads)

    original = Gradients.compute
    monkeypatch.setattr(Gradients, "compute", compute)
    with Threads(1) as pool:
        trainer = trainer_of(ready.spec, ready.model, pool)
        rates = []
        rate = trainer._lr
        monkeypatch.setattr(trainer, "_lr", lambda *at: rates.append(rate(*at)) or rates[-1])
        for _ in trainer.run(ready.train, None):
            rates.pop()  # asked once more for the record of the epoch
    found = list(steps(ready.spec, ready.model, ready.train))
    assert len(found) == len(seen) == 6
    assert [lr for _, _, lr in found] == rates
    for (x, labels, _), batch in zip(found, seen, strict=True):
        shards = [batch.input(shard, FRESH) for shard in range(len(batch))]
        np.testing.assert_array_equal(x, np.concatenate(shards))
        np.testing.assert_array_equal(labels, ready.train.labels[batch.rows])


@pytest.mark.parametrize("library", ["keras-tensorflow", "keras-jax"])
def test_both_reach_the_same(library, write_spec, capsys):
    for module in peers.PEERS[library].needs:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    how = [MOVING, "optimizer.weight_decay=0.01", "optimizer.schedule=constant", "train.epochs=1"]
    settings = [word for setting in how for word in ("--set", setting)]
    command = ["twin", str(write_spec(NORM)), "--library", library, *settings]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ours, theirs = found["cnnkit"], found[library]
    assert ours["figures"].keys() == {"accuracy", "macro_f1"}
    for name, figure in ours["figures"].items():
        assert theirs["figures"][name] == pytest.approx(figure, abs=1e-6)
    assert min(ours["seconds"], theirs["seconds"]) > 0
    assert found["differences"] == [
        "in Keras a batch's variance is divided by n, not n - 1, for the running one"
    ]


def test_without_keras_it_says_how_to_get_it(write_spec, capsys, monkeypatch):
    missing = Kind("keras:KerasTensorflow", ("no_such_module",), "keras")
    monkeypatch.setitem(peers.PEERS, "keras-tensorflow", missing)
    assert main(["twin", str(write_spec())]) == 2
    assert capsys.readouterr().err == (
        "error: keras-tensorflow is not installed\n   = help: pip install 'cnnkit-bench[keras]'\n"
    )


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("train.callbacks=['ema']", "the callback ema"),
        ("data.transforms=['mixup', 'scale']", "the transform mixup"),
        ("predict.average=['flip']", "[predict] average"),
    ],
)
def test_what_a_twin_cannot_be_given(write_spec, capsys, monkeypatch, setting, what):
    monkeypatch.setitem(peers.PEERS, "keras-tensorflow", Kind("keras:KerasTensorflow"))
    assert main(["twin", str(write_spec()), "--set", setting]) == 2
    assert capsys.readouterr().err == (
        f"error: a twin cannot be given {what}\n   = help: leave it out of a copy of the spec\n"
    )
