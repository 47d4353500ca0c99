"""Callbacks in a run: resumed to the same bits, stopped, judged, recorded, and named in errors."""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
import pytest

import cnnkit
from cnnkit.base import Callback, DataPaths
from cnnkit.callbacks import EarlyStopping, Ema, Plateau, StopAfter, Swa
from cnnkit.cli import main
from cnnkit.errors import RunError, SpecError
from cnnkit.files.tensors import digest
from cnnkit.model import Model
from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.runs.directory import find_run
from cnnkit.runs.session import Session
from cnnkit.specfile.runspec import RunSpec

EPOCHS, STEPS = 5, 9  # of 260 images, 32 at a time


class Jolts(Callback):
    """Draws noise onto the weights, less of it with every step."""

    type: Literal["jolts"] = "jolts"

    def init_state(self, training):
        return {"size": 0.05, "moved": {"by": training.vector * 0}}

    def step(self, training, state):
        noise = training.rng().standard_normal(training.vector.size).astype(np.float32)
        training.vector += noise * state["size"]
        state["moved"]["by"] += noise
        state["size"] *= 0.9

    def epoch(self, training, state):
        training.rate *= 0.8


class Broken(Callback):
    """Hands in weights of another shape."""

    type: Literal["broken"] = "broken"

    def epoch(self, training, state):
        return

    def stand_in(self, training, state):
        return {"0_dense/b": np.zeros(7, np.float32)}


ALL: dict[str, list[Callback]] = {
    "early_stopping": [EarlyStopping(patience=1)],
    "plateau": [Plateau(patience=1, factor=0.5)],
    "ema": [Ema(decay=0.8)],
    "swa": [Swa(start=2)],
    "stop_after": [StopAfter(minutes=60)],
    "of a plugin": [Jolts()],
    "all": [Jolts(), Ema(decay=0.8), Plateau(patience=1), EarlyStopping(metric="accuracy")],
}


def make_spec(*callbacks: Callback, **changes: Any) -> RunSpec:
    usual = {
        "name": "small",
        "data": {"type": "digits", "only": [0, 1]},
        "model": {"layers": [{"type": "dense", "units": 4}, "batch_norm", "tanh",
                             {"type": "softmax", "units": 2}]},
        "loss": "cross_entropy",
        "optimizer": {"type": "sgd", "lr": 0.5, "momentum": 0.9},
        "train": {"epochs": EPOCHS, "batch": 32, "threads": 1, "callbacks": list(callbacks)},
    }  # fmt: skip
    return RunSpec.model_validate(usual | changes)


@pytest.fixture
def spec_file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(
        'name = "small"\ndata = { type = "digits", only = [0, 1] }\nloss = "cross_entropy"\n'
        'optimizer = "adam"\nmodel.layers = [{ type = "softmax", units = 2 }]\n'
        "[train]\nthreads = 1\nepochs = 2\n"
    )
    return path


def interrupted(spec, out, at):
    """Run until Ctrl-C comes after so many steps; return whether it came."""
    left = [at]

    def watch(_):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    def go():
        with Session(spec, DataPaths(), out=out, watch=watch) as session:
            for _ in session.epochs():
                continue
            session.finish()

    if at > EPOCHS * STEPS:
        go()
    else:
        with pytest.raises(KeyboardInterrupt):
            go()


def resumed(spec, out):
    with Session(spec, DataPaths(), stored=find_run(out)) as session:
        for _ in session.epochs():
            continue
        return session.finish()


def records(run):
    return [
        {k: v for k, v in json.loads(line).items() if "second" not in k}
        for line in (run / "metrics.jsonl").read_text().splitlines()
    ]


def last(run):
    return Checkpoint.load(run / "checkpoints" / "last.safetensors")


def same_tree(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            same_tree(value, other[name])
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, other[name], strict=True)
        elif name != "seconds":
            assert (type(value), value) == (type(other[name]), other[name])


@pytest.mark.parametrize("kind", ALL)
def test_resumed_to_the_same_bits(kind, tmp_path):
    spec = make_spec(*ALL[kind])
    whole = cnnkit.train(spec, out=tmp_path / "whole")
    for at in (STEPS + 4, 2 * STEPS):  # within an epoch, and at its last step
        out = tmp_path / f"at-{at}"
        interrupted(spec, out, at)
        again = resumed(spec, out)
        assert again.summary["weights_sha256"] == whole.summary["weights_sha256"]
        assert records(out) == records(whole.path)
        one, two = last(whole.path), last(out)
        same_tree(one.memory.states, two.memory.states)
        same_tree(one.memory.moving, two.memory.moving)
        assert (one.memory.rate, one.memory.stopped) == (two.memory.rate, two.memory.stopped)


def test_killed_between_the_last_epoch_and_the_end(tmp_path):
    spec = make_spec(EarlyStopping(patience=1), optimizer={"type": "sgd", "lr": 20.0})
    whole = cnnkit.train(spec, out=tmp_path / "whole")
    assert "stopped" in whole.summary
    with Session(spec, DataPaths(), out=tmp_path / "run") as session:
        epochs = session.epochs()
        for _ in range(len(whole.history)):
            next(epochs)
    again = resumed(spec, tmp_path / "run")
    assert again.summary["weights_sha256"] == whole.summary["weights_sha256"]
    assert again.summary["stopped"] == whole.summary["stopped"]
    assert len(again.epochs) == len(whole.history)


def test_files_hold_what_was_judged(tmp_path):
    run = cnnkit.train(make_spec(Ema(decay=0.9)), out=tmp_path / "run")
    point = last(run.path)
    assert digest(point.weights) == run.summary["weights_sha256"]
    assert point.memory.moving.keys() == run.model.learning
    assert any(
        (point.memory.moving[path] != point.weights[path]).any() for path in run.model.learning
    )
    x = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8)).astype(np.uint8)
    stored = Model.load(run.path / "checkpoints" / "last.safetensors")
    np.testing.assert_array_equal(stored.predict(x), run.model.predict(x))


def test_the_best_epoch_is_kept_in_files_too(tmp_path):
    spec = make_spec(EarlyStopping(patience=2), optimizer={"type": "sgd", "lr": 20.0},
                     metrics=["accuracy"])  # fmt: skip
    spec = spec.model_copy(update={"train": spec.train.model_copy(update={"best": "loss"})})
    run = cnnkit.train(spec, out=tmp_path / "run")
    best = Checkpoint.load(run.path / "checkpoints" / "best.safetensors")
    losses = [epoch.validation["loss"] for epoch in run.history]
    assert best.best["epoch"] == int(np.argmin(losses)) + 1 < len(losses)
    assert digest(best.weights) == digest(last(run.path).weights) == run.summary["weights_sha256"]
    assert cnnkit.Model.load(run.path / "checkpoints" / "last.safetensors")


def test_a_run_that_was_ended_goes_on_where_it_is_asked_to(tmp_path, spec_file, capsys):
    spec, out = str(spec_file), str(tmp_path / "run")
    stop = 'train.callbacks=[{ type = "stop_after", minutes = 1e-9 }]'
    assert main(["run", spec, "--out", out, "--set", stop, "--set", "train.epochs=3"]) == 0
    assert "ended by stop_after: 1e-09 minutes are over" in capsys.readouterr().err
    assert main(["resume", out]) == 2
    assert (
        "is done, after 1 epoch (stop_after: 1e-09 minutes are over); " in capsys.readouterr().err
    )
    assert main(["resume", out, "--epochs", "3"]) == 0
    assert len(records(tmp_path / "run")) == 2  # as many minutes again
    assert "going on after epoch 1" in capsys.readouterr().err


def test_a_run_that_early_stopping_ended_is_given_patience_anew(tmp_path, spec_file, capsys):
    spec, out = str(spec_file), str(tmp_path / "run")
    never = '[{ type = "early_stopping", patience = 2, min_delta = 100.0 }]'
    assert main(["run", spec, "--out", out, "--set", f"train.callbacks={never}",
                 "--set", "train.epochs=9"]) == 0  # fmt: skip
    assert len(records(tmp_path / "run")) == 3
    assert main(["resume", out, "--epochs", "9"]) == 0
    assert len(records(tmp_path / "run")) == 5
    said = "ended by early_stopping: no better loss in 2 epochs"
    assert capsys.readouterr().err.count(said) == 2


def test_minutes_on_the_command_line(tmp_path, spec_file, capsys):
    out = tmp_path / "run"
    assert main(["run", str(spec_file), "--out", str(out), "--minutes", "1e-9", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["epochs"], printed["stopped"]) == (1, "stop_after: 1e-09 minutes are over")
    assert 'type = "stop_after"' in (out / "resolved.toml").read_text()


@pytest.mark.parametrize("minutes", ["0", "-3", "nan", "inf"])
def test_minutes_that_are_none(spec_file, minutes, capsys):
    assert main(["run", str(spec_file), "--minutes", minutes]) == 2
    said = f"error: --minutes is {minutes}; expected a number > 0\n"
    assert capsys.readouterr().err == said


def test_other_callbacks_cannot_go_on(tmp_path):
    interrupted(make_spec(Ema()), tmp_path / "run", 12)
    with pytest.raises(RunError) as caught:
        resumed(make_spec(Swa(start=1)), tmp_path / "run")
    assert str(caught.value) == (
        "cannot go on with these callbacks: they were 0_ema, and are 0_swa"
    )


def test_a_figure_that_is_not_measured_is_named_at_its_place(spec_file):
    spec_file.write_text(
        f'{spec_file.read_text()}callbacks = ["ema", {{ type = "plateau", metric = "recall" }}]\n'
    )
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(spec_file)
    lines = str(caught.value).splitlines()
    assert lines[0] == 'error: [train]: "recall" is no figure that plateau can watch'
    assert lines[-1] == "  = help: name a metric of the spec whose figure is a number, or the loss"
    assert "expected loss or accuracy or macro_f1" in str(caught.value)


def test_the_same_one_twice_is_refused():
    with pytest.raises(ValueError, match="ema stands there twice, and would act twice"):
        make_spec(Ema(), Ema())


def test_a_broken_promise_is_named(tmp_path):
    with pytest.raises(cnnkit.TrainingError) as caught:
        cnnkit.train(make_spec(Broken()), out=tmp_path / "run")
    assert str(caught.value).splitlines()[0] == (
        f"broken of module {__name__}: stand_in returned 0_dense/b: an array of shape (7,) and "
        "dtype float32 at step 10; expected shape (4,) and dtype float32. This is a fault of the "
        "callback, not of the spec"
    )


def test_evaluate_needs_no_callback_any_more(tmp_path):
    run = cnnkit.train(make_spec(Jolts()), out=tmp_path / "run")
    assert main(["evaluate", str(run.path)]) == 0


def test_the_report_draws_the_rate_that_was_used(tmp_path):
    plateau = Plateau(patience=1, factor=0.5)
    run = cnnkit.train(
        make_spec(plateau, optimizer={"type": "sgd", "lr": 20.0}), out=tmp_path / "a"
    )
    plain = cnnkit.train(make_spec(optimizer={"type": "sgd", "lr": 20.0}), out=tmp_path / "b")
    assert run.history[-1].lr < 20.0
    said = "Learning rate (constant, changed or ended by callbacks)"
    for one, changed in ((run, True), (plain, False)):
        assert main(["report", str(one.path)]) == 0
        page = (one.path / "report.html").read_text(encoding="utf-8")
        assert (said in page) == changed
        assert "Learning rate (constant" in page


class Poison(Callback):
    """Spoils the weights once, in the middle of the second epoch: at half the rate no more."""

    type: Literal["poison"] = "poison"

    def step(self, training, state):
        if training.lr > 0.3 and (training.epoch, training.index) == (2, 5):
            training.vector[:] = np.nan


def test_resumed_in_an_epoch_that_begins_again(tmp_path):
    train = {"epochs": EPOCHS, "batch": 32, "threads": 1, "on_nonfinite": "rollback",
             "callbacks": [Ema(decay=0.8), Poison(), Jolts()]}  # fmt: skip
    spec = make_spec(train=train)
    whole = cnnkit.train(spec, out=tmp_path / "whole")
    assert [epoch.rollbacks for epoch in whole.history] == [0, 1, 0, 0, 0]
    interrupted(spec, tmp_path / "run", STEPS + 3)  # before it has to go back
    again = resumed(spec, tmp_path / "run")
    assert again.summary["weights_sha256"] == whole.summary["weights_sha256"]
    assert records(tmp_path / "run") == records(whole.path)
