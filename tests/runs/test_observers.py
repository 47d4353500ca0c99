"""Observers in a run: what they are told, when, and what happens where they fail."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

import cnnkit
from cnnkit.base import DataPaths, Observer
from cnnkit.errors import SpecError, TrainingError
from cnnkit.runs.session import Session
from cnnkit.specfile.runspec import RunSpec

HEARD: list[tuple[Any, ...]] = []


class Ear(Observer):
    """Keeps what it hears, and changes what it is given."""

    type: Literal["ear"] = "ear"
    side: str = "left"
    """Two ears differ in this."""

    def start(self, run):
        files = {path.name for path in run.path.iterdir()}
        HEARD.append(("start", run, {"resolved.toml", "env.json", "spec.toml"} <= files))

    def epoch(self, run, record):
        lines = len((run.path / "metrics.jsonl").read_text().splitlines())
        HEARD.append(("epoch", record, lines, (run.path / "checkpoints/last.safetensors").exists()))
        record.validation.clear()

    def end(self, run, summary):
        HEARD.append(("end", dict(summary)))
        summary.clear()


class Broken(Ear):
    """Raises at its second epoch."""

    type: Literal["broken"] = "broken"

    def epoch(self, run, record):
        if record.epoch == 2:
            raise ValueError("no route to host")
        super().epoch(run, record)


class Talker(Observer):
    """Prints."""

    type: Literal["talker"] = "talker"

    def start(self, run):
        print("hello")


@pytest.fixture(autouse=True)
def _fresh():
    HEARD.clear()


def make_spec(*observers: Observer, **changes: Any) -> RunSpec:
    usual = {
        "name": "small",
        "data": {"type": "digits", "only": [0, 1]},
        "model": {"layers": [{"type": "softmax", "units": 2}]},
        "loss": "cross_entropy",
        "optimizer": {"type": "sgd", "lr": 0.1},
        "train": {"epochs": 3, "batch": 32, "threads": 1},
        "observers": list(observers),
    }
    return RunSpec.model_validate(usual | changes)


def names():
    return [heard[0] for heard in HEARD]


def test_what_they_are_told_and_when(tmp_path):
    run = cnnkit.train(make_spec(Ear()), out=tmp_path / "run")
    assert names() == ["start", "epoch", "epoch", "epoch", "end"]
    _, info, written = HEARD[0]
    assert written
    assert (info.name, info.path, info.dataset, info.epochs) == ("small", run.path, "digits", 3)
    assert (info.classes, info.samples) == (("0", "1"), 260)  # of 289, a tenth set aside
    assert [heard[1].epoch for heard in HEARD[1:4]] == [1, 2, 3]
    assert [heard[2:] for heard in HEARD[1:4]] == [(1, False), (2, True), (3, True)]
    assert HEARD[4][1] == json.loads((run.path / "summary.json").read_text())


def test_they_cannot_change_the_run(tmp_path):
    run = cnnkit.train(make_spec(Ear(), Ear(side="right")), out=tmp_path / "run")
    assert all(record.validation["accuracy"] >= 0 for record in run.history)
    assert run.summary["status"] == "done"
    assert len(HEARD) == 10
    alone = cnnkit.train(make_spec(), out=tmp_path / "alone")
    assert alone.summary["weights_sha256"] == run.summary["weights_sha256"]


def test_the_same_one_twice_is_refused(tmp_path):
    path = tmp_path / "twice.toml"
    path.write_text(
        'name = "twice"\ndata = "digits"\nmodel.layers = [{ type = "softmax", units = 10 }]\n'
        'loss = "cross_entropy"\noptimizer = "adam"\nobservers = ["csv", "csv"]\n'
    )
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(path)
    assert str(caught.value) == (
        "error: observers: csv stands there twice, and would tell everything twice\n"
        f" --> {path}:6:13\n"
        "  |\n"
        '6 | observers = ["csv", "csv"]\n'
        '  |             ^^^^^^^^^^^^^^ got ["csv", "csv"]'
    )


def test_one_that_raises_is_named_and_left_out(tmp_path):
    with pytest.warns(UserWarning, match="broken") as caught:
        run = cnnkit.train(make_spec(Broken(), Ear()), out=tmp_path / "run")
    what = f"observer broken of module {__name__} raised ValueError after epoch 2: no route to host"
    assert [str(one.message) for one in caught] == [f"warning: {what}; the run goes on without it"]
    assert names() == ["start", "start", "epoch", "epoch", "epoch", "epoch", "end"]
    assert (run.summary["status"], len(run.history)) == ("done", 3)
    log = (run.path / "log.txt").read_text()
    assert log.startswith(f"{what}\nTraceback (most recent call last):\n")
    assert log.endswith("ValueError: no route to host\n")


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")  # what makes it fail
def test_a_failed_run_is_told_to_them(tmp_path):
    layers = [{"type": "dense", "units": 4}, {"type": "softmax", "units": 2}]
    spec = make_spec(Ear(), model={"layers": layers}, optimizer={"type": "sgd", "lr": 1e30})
    with pytest.raises(TrainingError) as caught:
        cnnkit.train(spec, out=tmp_path / "run")
    assert names() == ["start", "end"]
    assert HEARD[1][1] == {"status": "failed", "epochs": 0, "message": str(caught.value)}


def test_an_interrupted_run_is_told_to_them(tmp_path):
    def interrupt():
        with Session(make_spec(Ear()), DataPaths(), out=tmp_path / "run") as session:
            for _ in session.epochs():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    ending = {"status": "interrupted", "epochs": 1, "message": "Ctrl-C"}
    assert HEARD[-1] == ("end", ending)


def test_their_prints_do_not_reach_stdout(tmp_path, capsys):
    cnnkit.train(make_spec(Talker()), out=tmp_path / "run")
    assert capsys.readouterr() == ("", "hello\n")
