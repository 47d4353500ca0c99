"""Runs that cannot be meant, and results that mean nothing: a line with the cause; else silence."""

# ruff: noqa: E501  # a case is a line

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnnkit import load_spec
from cnnkit.base import Epoch, Split
from cnnkit.cli import main
from cnnkit.errors import SpecError
from cnnkit.runs.remarks import after_training

SPEC = """name = "case"
[data]
type = "digits"
[model]
layers = [
  { type = "conv", filters = 8, kernel = 3, padding = "same" }, "relu", { type = "pool" },
  { type = "softmax", units = 10 },
]
[loss]
type = "cross_entropy"
[optimizer]
type = "adam"
lr = 0.003
[train]
epochs = 2
"""
SPECS = sorted((Path(__file__).parents[2] / "specs").glob("*.toml"))


def written(folder, text=SPEC):
    (folder / "spec.toml").write_text(text)
    return folder / "spec.toml"


@pytest.mark.parametrize("path", SPECS, ids=[path.stem for path in SPECS])
def test_shipped_specs_get_no_remark(path):
    assert load_spec(path).warnings == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("optimizer.lr=0.0", "[optimizer]: lr = 0, so nothing will be learned"),
        (
            'optimizer.schedule={ type = "cosine", warmup = 5 }',
            "[optimizer] schedule: warmup = 5 is longer than the 2 epochs of training, so the "
            "learning rate never gets there",
        ),
        (
            "model.layers.0.init=zeros",
            "layer 1 (conv): init = zeros makes all its units equal, and they stay equal; use "
            '"he" or "glorot"',
        ),
    ],
)
def test_what_can_hardly_be_meant(tmp_path, capsys, change, said):
    spec = written(tmp_path)
    assert [one.message for one, _ in load_spec(spec, [change]).warnings] == [said]
    assert main(["check", str(spec), "--set", change]) == 0
    assert capsys.readouterr().err.startswith(f"warning: {said}\n --> --set {change}\n")


def test_a_softmax_of_a_softmax_is_refused(tmp_path):
    spec = written(tmp_path, SPEC.replace("units = 10 },", 'units = 10 }, "softmax",'))
    with pytest.raises(SpecError) as caught:
        load_spec(spec)
    assert str(caught.value).splitlines()[0] == (
        "error: layer 5 (softmax) follows another softmax, and a softmax of probabilities makes "
        "them all but equal"
    )


def test_a_run_that_learns_nothing_says_so(tmp_path, capsys):
    spec, run = written(tmp_path), tmp_path / "run"
    assert main(["run", str(spec), "--set", "optimizer.lr=3.0", "--out", str(run)]) == 0
    remarks = json.loads((run / "summary.json").read_text())["remarks"]
    assert len(remarks) == 1
    assert remarks[0].endswith("the learning rate 3 is probably too high: try 0.001")
    assert f"warning: {remarks[0]}" in capsys.readouterr().err


def test_a_sound_run_is_silent(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["run", str(written(tmp_path)), "--out", str(run)]) == 0
    assert json.loads((run / "summary.json").read_text())["remarks"] == []
    assert "warning" not in capsys.readouterr().err


def epochs(*losses):
    return [
        Epoch(i, 1 / i, {"loss": loss}, 1.0, 1.0, 0.1) for i, loss in enumerate(losses, start=1)
    ]


JUDGED_ON = Split(np.zeros((100, 1, 2, 2), np.float32), np.arange(100) % 2)
GOOD = {"accuracy": 0.9, "confusion": [[45, 5], [5, 45]]}


@pytest.mark.parametrize(
    ("losses", "test", "said"),
    [
        ([0.5, 0.4, 0.3], GOOD, ""),
        ([0.5, 0.3, 0.35, 0.36], GOOD, ""),
        ([0.5, 0.3, 0.35, 0.45], GOOD, "the validation loss was lowest after epoch 2 (0.3000) and"),
        ([0.5, 0.3, 0.9], GOOD, ""),
        ([0.5], {"accuracy": 0.5, "confusion": [[50, 0], [50, 0]]}, "every test image is taken for one"),
        ([0.5], {"accuracy": 0.52, "confusion": [[26, 24], [24, 26]]}, "accuracy 0.5200 is no better"),
        ([0.5], {"confusion": [[26, 24], [24, 26]]}, "accuracy 0.5200 is no better"),
        ([], {"loss": 1.0}, ""),
    ],
)  # fmt: skip
def test_figures_and_what_is_said_of_them(tmp_path, losses, test, said):
    remarks = list(after_training(load_spec(written(tmp_path)), epochs(*losses), test, JUDGED_ON))
    assert [remark[: len(said)] for remark in remarks] == [said] * bool(said)


def test_a_cause_that_is_known_is_named(tmp_path):
    spec = load_spec(written(tmp_path), ["data.transforms=[]"])
    images = np.full((100, 1, 2, 2), 255, np.uint8)
    test = {"accuracy": 0.5, "confusion": [[50, 0], [50, 0]]}
    assert list(after_training(spec, epochs(0.5), test, Split(images, JUDGED_ON.labels))) == [
        "every test image is taken for one class: nothing was learned; bytes reach the network as "
        'they are: try transforms = ["scale"] under [data]'
    ]


def test_evaluate_says_when_the_data_is_another(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        x, y = rng.integers(0, 256, (40, 8, 8), np.uint8), np.arange(40) % 10
        np.savez(f"{name}.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    written(tmp_path, SPEC.replace('type = "digits"', 'type = "npz"\npath = "a.npz"'))
    assert main(["run", "spec.toml", "--out", "run"]) == 0
    remarks = json.loads(Path("run/summary.json").read_text())["remarks"]  # of noise
    remark = "".join(f"warning: {one}\n" for one in remarks)
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 0
    assert capsys.readouterr().err == remark
    said = "WARNING: npz is not, or not quite, what the run was trained on\n"
    assert main(["evaluate", "run", "--set", "data.path=b.npz"]) == 0
    assert capsys.readouterr().err.startswith(said)
    Path("a.npz").write_bytes(Path("b.npz").read_bytes())
    assert main(["evaluate", "run"]) == 0
    assert capsys.readouterr().err.startswith(said)
    assert main(["evaluate", "run", "--set", "data.pth=b.npz"]) == 2
    assert 'did you mean "path"?' in capsys.readouterr().err
