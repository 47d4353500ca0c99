"""What a run fits to its data, and what it averages over: kept with it, and read by the verbs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnkit import train
from cnnkit.cli import main
from cnnkit.model import Model
from cnnkit.specfile.load import load_spec

SPEC = """
name = "averaged"
[data]
type = "digits"
transforms = ["normalize", "mixup"]
[model]
layers = [{ type = "conv", filters = 4, kernel = 3 }, "relu", { type = "softmax", units = 10 }]
[loss]
type = "cross_entropy"
weights = "balanced"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 1
[predict]
average = ["flip"]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("average")
    (folder / "spec.toml").write_text(SPEC, encoding="utf-8")
    return train(load_spec(folder / "spec.toml"), out=folder / "run")


def test_the_model_of_a_run_averages(run):
    last = Model.load(run.path / "checkpoints" / "last.safetensors")
    assert [one.type for one in last.average] == ["flip"]
    x = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8)).astype(np.uint8)
    np.testing.assert_allclose(last.predict(x), last.predict(x[..., ::-1]), atol=1e-6)
    assert last.transforms == run.model.transforms
    assert last.transforms[0].mean is not None


def test_evaluate_gives_the_figures_of_the_run(run, capsys):
    assert main(["evaluate", str(run.path), "--json"]) == 0
    test = json.loads(capsys.readouterr().out)["test"]
    assert {name: test[name] for name in run.summary["test"]} == run.summary["test"]


def test_what_was_balanced_is_resolved_and_runs_alike(run, tmp_path):
    spec = load_spec(run.path / "resolved.toml")
    assert len(spec.loss.weights) == 10
    again = train(spec, out=tmp_path / "again")
    assert again.summary["weights_sha256"] == run.summary["weights_sha256"]
