"""Data without test images: a run has no figures on them, and says so."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnkit.cli import main

SPEC = """
name = "untested"
loss = "cross_entropy"
optimizer = "adam"
[data]
type = "npz"
path = "data.npz"
test = 0
validation = {validation}
[model]
layers = [{{ type = "softmax", units = 2 }}]
[train]
epochs = 2
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 1, 4, 4), np.uint8), np.arange(60) % 2
    np.savez("data.npz", x_train=x, y_train=y)

    def train(validation):
        (tmp_path / "spec.toml").write_text(SPEC.format(validation=validation))
        assert main(["run", "spec.toml", "--out", "run"]) == 0
        return capsys.readouterr()

    return train


def test_what_a_run_says(run, tmp_path, capsys):
    out, err = run(0.2)
    assert err.startswith(
        "untested: 48 images of npz to train on, 12 to validate, 0 to test\nwriting to run\n"
    )
    assert "test" not in out.replace("untested", "")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["status"], summary["test"]) == ("done", {})
    records = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    right = json.loads(records[-1])["validation"]["accuracy"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"untested names {right:.1%} of the validation images right" in page
    assert main(["runs", "run"]) == 0
    assert f"{right:.4f} valid" in capsys.readouterr().out
    assert main(["evaluate", "run"]) == 2
    assert capsys.readouterr().err == (
        "error: npz has no test images; judge the run on others, such as with "
        "--set data.path=other.npz --set data.test=0.5\n"
    )
    assert main(["evaluate", "run", "--set", "data.test=0.5"]) == 0


def test_nor_any_for_validation(run, tmp_path):
    run(0)
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[1:]
    loss = json.loads(line)["train_loss"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"untested reached a training loss of {loss:.4g}" in page
