"""`run --seeds` and `[data] folds`: several runs of one spec, and one table of their figures."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import numpy as np
import pytest

from cnnkit import train
from cnnkit.base import DataPaths
from cnnkit.cli import main
from cnnkit.commands import run as run_module
from cnnkit.datasets.digits import Digits
from cnnkit.errors import SpecError
from cnnkit.runs.data import parts_of
from cnnkit.specfile.load import load_spec


@pytest.fixture
def tiny(tiny):
    tiny.write_text(tiny.read_text().replace("epochs = 2", "epochs = 1"))
    return tiny


def summary(run: str) -> dict:
    return json.loads(Path(run, "summary.json").read_text())


def rows(out: str) -> dict[str, list[str]]:
    """Return the numbers of the table by the name of their row."""
    found = [re.split(r" {2,}", line) for line in out.splitlines() if re.search(r"\d\.\d{4}", line)]
    return {name: numbers for name, *numbers in found}


def test_a_run_for_each_seed_and_their_figures(call, tiny):
    outcome = call("run", "tiny.toml", "--seeds", "0..1,7", "--out", "all", "--no-report")
    assert outcome.code == 0, outcome.err
    folders = sorted(path.name for path in Path("all").iterdir())
    assert folders == ["seed-0", "seed-1", "seed-7"]
    runs = [summary(f"all/{name}") for name in folders]
    assert [one["seed"] for one in runs] == [0, 1, 7]
    values = [one["test"]["accuracy"] for one in runs]
    assert rows(outcome.out)["test accuracy"] == [
        f"{number:.4f}"
        for number in (sum(values) / 3, np.std(values, ddof=1), min(values), max(values))
    ]
    assert {"validation loss", "test macro-F1", "train loss", "seconds"} <= rows(outcome.out).keys()
    assert outcome.out.endswith("\n\nof 3 runs; `cnnkit runs all` lists them\n\nall\n")
    alone = call("run", "tiny.toml", "--set", "seed=7", "--out", "alone", "--no-report")
    assert alone.code == 0
    assert summary("alone")["weights_sha256"] == runs[2]["weights_sha256"]


def test_json(call, tiny):
    outcome = call("run", "tiny.toml", "--seeds", "3,4", "--no-report", "--json")
    document = json.loads(outcome.out)
    assert re.fullmatch(r"runs/tiny/\d{8}T\d{6}Z-[0-9a-f]{4}", document["run"])
    assert document["failed"] == []
    runs = [summary(f"{document['run']}/seed-{n}") for n in (3, 4)]
    assert document["runs"] == [
        {"run": f"{document['run']}/seed-{n}", **one} for n, one in zip((3, 4), runs, strict=True)
    ]
    losses = [one["test"]["loss"] for one in runs]
    assert document["figures"]["test.loss"] == {
        "mean": statistics.fmean(losses), "deviation": pytest.approx(np.std(losses, ddof=1)),
        "lowest": min(losses), "highest": max(losses),
    }  # fmt: skip


def test_a_single_one_has_no_deviation(call, tiny):
    outcome = call("run", "tiny.toml", "--seeds", "5", "--out", "all", "--no-report")
    accuracy = f"{summary('all/seed-5')['test']['accuracy']:.4f}"
    assert rows(outcome.out)["test accuracy"] == [accuracy, "-", accuracy, accuracy]
    assert "\nof 1 run; " in outcome.out


def test_interrupted_and_resumed(call, tiny, monkeypatch):
    """What is done stays; the second, which was interrupted, goes on; the third begins."""
    arguments = ("run", "tiny.toml", "--seeds", "0..2", "--out", "all", "--no-report")
    assert call(*arguments[:-2], "whole", "--no-report").code == 0
    real, begun = run_module.Session, []

    class Interrupted(real):
        def _after_step(self, progress):
            super()._after_step(progress)
            if len(begun) == 2 and self._trainer.step == 5:
                raise KeyboardInterrupt

        def __enter__(self):
            begun.append(self.spec.seed)
            return super().__enter__()

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "Session", Interrupted)
        outcome = call(*arguments)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == (
        "   = note: runs that are done stay; the same command with --out all --resume goes on"
    )
    done = Path("all/seed-0/summary.json").stat().st_mtime_ns
    outcome = call(*arguments, "--resume")
    assert outcome.code == 0, outcome.err
    lines = outcome.err.splitlines()
    assert lines[0] == "all/seed-0 is done"
    assert lines[2] == "writing to all/seed-1, going on after 5 steps of epoch 1"
    assert Path("all/seed-0/summary.json").stat().st_mtime_ns == done
    for n in range(3):
        sha = summary(f"all/seed-{n}")["weights_sha256"]
        assert sha == summary(f"whole/seed-{n}")["weights_sha256"]


def test_one_that_was_killed_before_it_saved_anything_begins_anew(call, tiny):
    arguments = ("run", "tiny.toml", "--seeds", "0", "--out", "all", "--no-report", "--resume")
    assert call(*arguments).code == 0
    for path in Path("all/seed-0/checkpoints").iterdir():
        path.unlink()
    outcome = call(*arguments)
    assert outcome.code == 0
    assert outcome.err.startswith(
        "note: all/seed-0 was ended before it saved anything, and begins anew\n"
    )


def test_a_folder_that_is_no_run_is_left_alone(call, tiny):
    Path("all/seed-0").mkdir(parents=True)
    Path("all/seed-0/notes.txt").write_text("mine")
    arguments = ("run", "tiny.toml", "--seeds", "0", "--out", "all")
    for more in ([], ["--resume"]):
        assert call(*arguments, *more).code == 2
        assert Path("all/seed-0/notes.txt").read_text() == "mine"


def test_another_spec_is_not_gone_on_with(call, tiny):
    arguments = ("run", "tiny.toml", "--seeds", "0", "--out", "all", "--no-report")
    assert call(*arguments).code == 0
    outcome = call(*arguments, "--resume", "--set", "train.batch=64")
    assert outcome.code == 2
    assert "the run in all/seed-0 is by another spec than this one" in outcome.err


def test_one_that_fails_leaves_the_others(call, tiny, monkeypatch):
    real = run_module.Session

    class Failing(real):
        def _after_step(self, progress):
            from cnnkit.errors import TrainingError

            if self.spec.seed == 1:
                raise TrainingError("it went wrong")

    monkeypatch.setattr(run_module, "Session", Failing)
    arguments = ("run", "tiny.toml", "--seeds", "0..2", "--out", "all", "--no-report", "--json")
    outcome = call(*arguments)
    assert outcome.code == 1
    assert "error: seed-1: it went wrong\n" in outcome.err
    document = json.loads(outcome.out)
    assert document["failed"] == ["seed-1"]
    assert [one["seed"] for one in document["runs"]] == [0, 2]


@pytest.mark.parametrize("seeds", ["", "a", "3..1", "0..", "-1", "0..1000", "1.5", "0..4,x"])
def test_seeds_that_cannot_be_read(call, tiny, seeds):
    outcome = call("run", "tiny.toml", f"--seeds={seeds}")
    assert outcome.code == 2
    assert outcome.err == (
        f"error: cannot read --seeds {seeds!r}; expected 0..4 or 0,3,7, no more than 1,000\n"
    )
    assert not Path("runs").exists()


def test_resume_wants_a_folder(call, tiny):
    outcome = call("run", "tiny.toml", "--seeds", "0..4", "--resume")
    assert outcome.err == "error: --resume goes on with the runs in --out; give --out, too\n"


FOLDS = ("--set", "data.folds=3")


def test_a_run_for_each_fold(call, tiny):
    outcome = call("run", "tiny.toml", *FOLDS, "--out", "all", "--no-report")
    assert outcome.code == 0, outcome.err
    names = ["fold-1", "fold-2", "fold-3"]
    assert sorted(path.name for path in Path("all").iterdir()) == names
    last = [Path("all", name, "metrics.jsonl").read_text().splitlines()[-1] for name in names]
    values = [json.loads(line)["validation"]["accuracy"] for line in last]
    assert rows(outcome.out)["validation accuracy"][0] == f"{statistics.fmean(values):.4f}"
    assert len({summary(f"all/{name}")["weights_sha256"] for name in names}) == 3
    assert call("verify", "all/fold-2").code == 0
    assert call("evaluate", "all/fold-2").code == 0
    alone = call("run", "tiny.toml", *FOLDS, "--set", "data.fold=2", "--out", "one", "--no-report")
    assert alone.code == 0
    assert summary("one")["weights_sha256"] == summary("all/fold-2")["weights_sha256"]


def test_folds_of_each_seed(call, tiny):
    arguments = ("--set", "data.folds=2", "--seeds", "0..1", "--out", "all", "--no-report")
    assert call("run", "tiny.toml", *arguments).code == 0
    assert sorted(path.name for path in Path("all").iterdir()) == [
        "seed-0-fold-1", "seed-0-fold-2", "seed-1-fold-1", "seed-1-fold-2",
    ]  # fmt: skip


def test_the_fallback_takes_the_folds(call, tiny):
    other = '"npz"\npath = "later.npz"\nfolds = 2\nfallback = { type = "digits" }'
    tiny.write_text(tiny.read_text().replace('"digits"', other))
    outcome = call("run", "tiny.toml", "--out", "all", "--no-report")
    assert "tiny: 721 images of digits to train on, 721 to validate, 355 to test" in outcome.err
    assert call("verify", "all/fold-1").code == 0


def test_the_folds_part_the_training_split(tiny):
    digits = Digits(folds=5)
    data = digits.load(DataPaths())
    images = []
    for fold in range(1, 6):
        parts = parts_of(data, Digits(folds=5, fold=fold), 3)
        assert len(parts.train) + len(parts.validation) == len(data.train)
        whole = np.bincount(data.train.labels)
        counts = np.bincount(parts.validation.labels)
        assert (np.abs(counts - whole / 5) < 1).all()
        assert (np.bincount(parts.train.labels) == whole - counts).all()
        assert parts.test is data.test
        images.append(parts.validation.images)
    sizes = [len(one) for one in images]
    assert max(sizes) - min(sizes) <= 1
    together = np.concatenate(images).reshape(len(data.train), -1)
    given = data.train.images.reshape(len(data.train), -1)
    assert sorted(map(bytes, together)) == sorted(map(bytes, given))
    other = parts_of(data, Digits(folds=5, fold=5), 4).validation.images
    assert not np.array_equal(other[: sizes[0] - 1], images[4][: sizes[0] - 1])


def test_folds_are_no_single_run(tiny):
    spec = load_spec(tiny, ["data.folds=3"])
    with pytest.raises(SpecError) as caught:
        train(spec, out="here")
    assert str(caught.value) == (
        "[data] folds = 3 are as many runs, which `cnnkit run` trains; a single one is that of "
        "fold = 1, say"
    )
    assert not Path("here").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["data.fold=1"], "fold = 1 is none of them: the folds are missing; set folds = 5, say"),
        (["data.fold=3", "data.folds=2"], "fold = 3 is none of them: there are 2 folds"),
        (["data.folds=1"], "folds"),
    ],
)
def test_folds_that_cannot_be(call, tiny, options, text):
    outcome = call("check", "tiny.toml", *(word for one in options for word in ("--set", one)))
    assert outcome.code == 2
    assert text in outcome.err


def test_more_folds_than_images(call, tiny):
    arrays = {
        "x_train": np.arange(20 * 64, dtype=np.uint8).reshape(20, 8, 8),
        "y_train": np.arange(20) % 10,
    }
    np.savez("few.npz", **arrays, x_test=arrays["x_train"], y_test=arrays["y_train"])
    tiny.write_text(tiny.read_text().replace('"digits"', '"npz"\npath = "few.npz"\nfolds = 21'))
    outcome = call("run", "tiny.toml")
    assert outcome.code == 2
    assert "npz: 21 folds of 20 images to train on; expected no more folds" in outcome.err


def test_no_seeds_no_folder(tiny):
    assert main(["run", "tiny.toml", "--out", "one", "--no-report", "--quiet"]) == 0
    assert Path("one/summary.json").exists()


def test_a_loss_that_took_numbers_from_the_labels_is_the_same_spec(call, tiny):
    text = tiny.read_text().replace('"cross_entropy"', '"cross_entropy"\nweights = "balanced"')
    tiny.write_text(text)
    arguments = ("run", "tiny.toml", "--seeds", "0", "--out", "all", "--no-report", "--resume")
    assert call(*arguments).code == 0
    outcome = call(*arguments)
    assert (outcome.code, outcome.err.splitlines()[0]) == (0, "all/seed-0 is done")
    assert call(*arguments, "--set", "loss.weights=x").code == 2
