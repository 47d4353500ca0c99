"""What a run fits to its data, and what it averages over: kept with it, and read by the verbs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnkit import train
from cnnkit.base import DataPaths
from cnnkit.cli import main
from cnnkit.model import Model
from cnnkit.runs.prepare import prepare
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


@pytest.mark.parametrize(
    ("transforms", "kept"),
    [("", []), (', transforms = ["flip", "scale"]', ["flip"])],
)
def test_what_stands_in_is_averaged_over_what_it_is_trained_on(transforms, kept, tmp_path):
    """Digits are no mirror images of one another: averaged over these, fewer were right."""
    other = f'type = "npz"\npath = "later.npz"\nfallback = {{ type = "digits"{transforms} }}'
    spec = SPEC.replace('type = "digits"', other).replace('"flip"]', '"flip", "shift"]')
    (tmp_path / "spec.toml").write_text(spec, encoding="utf-8")
    said = []
    paths = DataPaths(spec_dir=tmp_path, say=said.append)
    ready = prepare(load_spec(tmp_path / "spec.toml"), paths)
    assert [one.type for one in ready.model.average] == kept
    names = "shift" if kept else "flip and shift"
    assert f"note: digits is not trained on {names}, and not averaged over it" in said
