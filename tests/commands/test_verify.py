"""`cnnkit verify`: trained once more, a run has the same weights, or it says where they part."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

LAYER = '''
"""A layer whose factor an author may change without a word."""
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Layer
factor = 1.0
class Times(Layer):
    """x times a factor."""
    type: Literal["times"] = "times"
    def forward(self, x, w, ctx):
        return x * factor, lambda dy: (dy * factor, {})
@hookimpl
def cnnkit_layers():
    return [Times]
'''


@pytest.fixture
def run(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run").relative_to(tmp_path))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def recorded(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def spoil(run: Path, epoch: int) -> str:
    """Put another sha256 on record; return it."""
    records = recorded(run)
    sha = records[epoch - 1]["weights_sha256"] = "0" * 64
    (run / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    return sha


def test_equal(call, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcome = call("verify", str(run))
    first, second = (one["weights_sha256"][:12] for one in recorded(run))
    assert outcome.code == 0
    assert outcome.out == "equal: the weights after all 2 epochs are what run recorded\n"
    assert outcome.err.splitlines() == [
        "training 2 of 2 epochs of run once more",
        f"epoch 1: equal, sha256 {first}",
        f"epoch 2: equal, sha256 {second}",
    ]
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_the_last_one_is_that_of_the_summary(run):
    summary = json.loads((run / "summary.json").read_text())
    assert recorded(run)[-1]["weights_sha256"] == summary["weights_sha256"]


def test_the_first_epochs_only(call, run):
    spoil(run, 2)
    outcome = call("verify", "run", "--epochs", "1", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "equal: the weights after the epoch is what run recorded\n"


def test_parted_where_nothing_else_differs(call, run):
    spoil(run, 2)
    outcome = call("verify", "run")
    assert outcome.code == 1
    assert outcome.out == (
        f"parted at epoch 2: sha256 was 000000000000, is {sha(run)}\n"
        "nothing that is on record of the environment differs\n"
    )


def sha(run: Path) -> str:
    return str(json.loads((run / "summary.json").read_text())["weights_sha256"])[:12]


def test_parted_in_another_environment(call, run):
    spoil(run, 1)
    edit(run / "env.json", '"python": "3.', '"python": "2.')
    edit(run / "env.json", '"type": "numpy"', '"type": "abacus"')
    outcome = call("verify", "run")
    assert outcome.code == 1
    assert "parted at epoch 1" in outcome.out
    assert "epoch 2" not in outcome.err  # it goes no further
    assert "the run went on under another environment than it began in\n" in outcome.out
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["backend.type", '"abacus"', '"numpy"'] in rows
    assert any(row[:1] == ["python"] and row[1].startswith('"2.') for row in rows)


def test_json(call, run):
    old = spoil(run, 2)
    edit(run / "env.json", '"python": "3.', '"python": "2.')
    outcome = call("verify", "run", "--json")
    document = json.loads(outcome.out)
    assert (outcome.code, document["equal"], document["parted"]) == (1, False, 2)
    assert [one["equal"] for one in document["epochs"]] == [True, False]
    assert document["epochs"][1]["then"] == old
    assert [one["key"] for one in document["differs"]] == ["python"]


def test_an_author_who_changed_a_layer_without_a_new_version(call, site, tiny):
    import importlib

    site("cnnkit-times", LAYER)
    tiny.write_text(tiny.read_text().replace('"relu"', '"times"'))
    assert call("run", "tiny.toml", "--out", "run", "--no-report").code == 0
    assert call("verify", "run").code == 0
    importlib.import_module("cnnkit_times").factor = 1.5
    outcome = call("verify", "run")
    assert (outcome.code, outcome.out.partition(":")[0]) == (1, "parted at epoch 1")
    assert outcome.out.endswith("nothing that is on record of the environment differs\n")


@pytest.fixture
def own_data(tiny) -> Path:
    rng = np.random.default_rng(0)
    parts = {
        "x_train": rng.integers(0, 255, (60, 8, 8)),
        "x_test": rng.integers(0, 255, (30, 8, 8)),
    }
    labels = {"y_train": np.arange(60) % 10, "y_test": np.arange(30) % 10}
    np.savez("own.npz", **{name: x.astype(np.uint8) for name, x in parts.items()}, **labels)
    return tiny


def test_other_data_is_told_before_any_training(call, own_data):
    edit(own_data, '"digits"', '"npz"\npath = "own.npz"')
    assert call("run", "tiny.toml", "--out", "run", "--no-report").code == 0
    assert call("verify", "run").code == 0
    arrays = dict(np.load("own.npz"))
    arrays["x_test"][0, 0, 0] ^= 1
    np.savez("own.npz", **arrays)
    outcome = call("verify", "run")
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.splitlines()[-1] == (
        f"error: run was trained on other data than npz ({Path.cwd()}/own.npz) holds now (another "
        "sha256), so nothing was trained; bring it back as it was to verify the run"
    )
    assert "once more" not in outcome.err


def test_the_fallback_that_was_used(call, own_data):
    """Its own dataset can be had by now."""
    edit(own_data, '"digits"', '"npz"\npath = "later.npz"\nfallback = { type = "digits" }')
    assert call("run", "tiny.toml", "--out", "run", "--no-report").code == 0
    Path("own.npz").rename("later.npz")
    assert call("verify", "run").code == 0


def test_longer_than_it_was_meant_to_be(call, tiny):
    tiny.write_text(tiny.read_text().replace("lr = 0.01", 'lr = 0.01\nschedule = "cosine"'))
    assert call("run", "tiny.toml", "--out", "run", "--no-report").code == 0
    assert call("resume", "run", "--epochs", "3", "--no-report").code == 0
    outcome = call("verify", "run")
    assert outcome.code == 1
    assert "its learning rate was 0.00" in outcome.out
    assert "as `resume --epochs` does" in outcome.out


def test_nobody_is_told_and_nothing_is_left(call, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    tiny.write_text('observers = ["csv"]\n' + tiny.read_text())
    assert call("run", "tiny.toml", "--out", "run", "--no-report").code == 0
    rows = Path("run/metrics.csv").read_text()
    assert call("verify", "run").code == 0
    assert Path("run/metrics.csv").read_text() == rows
    assert list((tmp_path / "temp").iterdir()) == []


def test_an_interrupted_run(call, run):
    (run / "summary.json").unlink()
    (run / "status.json").write_text('{"status": "interrupted", "epoch": 1}')
    keep = (run / "metrics.jsonl").read_text().splitlines(keepends=True)[0]
    (run / "metrics.jsonl").write_text(keep)
    assert call("verify", "run").out == "equal: the weights after the epoch is what run recorded\n"


def test_a_run_that_a_callback_ended_and_somebody_let_go_on(call, run):
    stop = '[{ type = "early_stopping", patience = 1, min_delta = 100.0 }]'
    more = ["--set", f"train.callbacks={stop}", "--set", "train.epochs=9"]
    assert call("run", str(run / "resolved.toml"), "--out", "short", *more).code == 0
    for ended in (3, 4):
        assert call("resume", "short", "--epochs", "9").code == 0
        assert len(recorded(Path("short"))) == ended
    said = "equal: the weights after all 4 epochs are what short recorded\n"
    assert call("verify", "short").out == said
    spoil(Path("short"), 4)
    outcome = call("verify", "short")
    assert (outcome.code, outcome.out.splitlines()[0][:18]) == (1, "parted at epoch 4:")


@pytest.mark.parametrize(
    ("change", "arguments", "text"),
    [
        ("", [], "there is nothing to verify in run: no epoch of it is finished"),
        ('{"epoch": 1}\n', [], "there is nothing to verify in run: expected lines"),
        (
            None,
            ["--epochs", "3"],
            "run has 2 epochs on record: expected --epochs from 1 to 2, got 3",
        ),
        (
            None,
            ["--epochs", "0"],
            "run has 2 epochs on record: expected --epochs from 1 to 2, got 0",
        ),
    ],
)
def test_what_cannot_be_verified(call, run, change, arguments, text):
    if change is not None:
        (run / "metrics.jsonl").write_text(change)
    outcome = call("verify", "run", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {text}")
