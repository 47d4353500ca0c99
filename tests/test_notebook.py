"""`cnnkit.fit` and `cnnkit.Run`: arrays in, a run out, and what is shown of it."""

from __future__ import annotations

import json
import re
import sys
import warnings
from dataclasses import asdict
from typing import Literal
from xml.etree import ElementTree

import numpy as np
import pytest

import cnnkit
from cnnkit.arrays import flatten
from cnnkit.base import Callback, DataPaths, Layer
from cnnkit.cli import main
from cnnkit.datasets import Digits
from cnnkit.errors import (
    DataError,
    OptionError,
    PluginError,
    RunError,
    ShapeError,
    SpecError,
    TrainingError,
)
from cnnkit.layers import Conv, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.optimizers import Sgd
from cnnkit.split import stratified_sample
from cnnkit.transforms import Scale

STACK = [Conv(filters=4, kernel=3), "relu", "pool", Softmax(units=10)]
SPEC = """
name = "small"
seed = 5
[data]
type = "digits"
[model]
layers = [{ type = "conv", filters = 4, kernel = 3 }, "relu", "pool", { type = "softmax", units = 10 }]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 2
"""  # noqa: E501  # as people write it


@pytest.fixture(scope="module")
def digits():
    return Digits().load(DataPaths(None, lambda line: None))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def sha256(run):
    return run.summary["weights_sha256"]


def test_layers_and_arrays_are_enough(digits, tmp_path):
    x, y = digits.train.images, digits.train.labels
    seen = []
    how = {"epochs": 8, "validation": 0.1, "on_epoch": seen.append}
    run = cnnkit.fit(STACK, x, y, optimizer=Sgd(lr=0.1, momentum=0.9), **how)
    assert [asdict(record) for record in run.history] == seen
    assert [figures["epoch"] for figures in seen] == list(range(1, 9))
    assert seen[-1]["validation"]["accuracy"] > 0.9
    found = run.model.predict(digits.test.images).argmax(axis=1)
    assert (found == digits.test.labels).mean() > 0.9
    assert [type(one) for one in run.model.transforms] == [Scale]
    assert run.path is None
    assert list(tmp_path.iterdir()) == []


def test_it_is_what_the_trainer_does(digits):
    x, y = digits.train.images[:200], digits.train.labels[:200]
    held = digits.test.images[:50], digits.test.labels[:50]
    run = cnnkit.fit(
        STACK, x, y, validation=held, epochs=2, batch=20, seed=3, shuffle="once",
        optimizer={"type": "sgd", "lr": 0.1}, transforms=["scale"], metrics=[],
    )  # fmt: skip
    same = cnnkit.Model.build(STACK, (1, 8, 8), seed=3, transforms=[Scale()])
    trainer = cnnkit.Trainer(
        same, CrossEntropy(), Sgd(lr=0.1), epochs=2, batch=20, seed=3, shuffle="once"
    )
    records = trainer.fit(x, y, held)
    assert [r.validation for r in run.history] == [r.validation for r in records]
    assert (run.model.weights["0_conv"]["W"] == same.weights["0_conv"]["W"]).all()
    assert run.model.trained_on == same.trained_on


def test_a_spec_brings_its_settings(digits, tmp_path):
    (tmp_path / "small.toml").write_text(SPEC)
    spec = cnnkit.load_spec("small.toml", set=['train.callbacks=[{type="ema"}]'])
    data = digits.train
    run = cnnkit.fit(spec, data.images, data.labels)
    same = cnnkit.fit(
        STACK, data.images, data.labels, epochs=2, optimizer=Sgd(lr=0.1), seed=5,
        transforms=spec.data.transforms, callbacks=["ema"],
    )  # fmt: skip
    assert sha256(run) == sha256(same)
    assert len(cnnkit.fit(spec, data.images, data.labels, epochs=1).history) == 1


def test_floats_are_taken_as_they_are(digits):
    x = (digits.train.images / 255 - 0.5).astype(np.float32)
    assert cnnkit.fit(STACK, x, digits.train.labels, epochs=1).model.transforms == ()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"loss": "cross_entropi"}, PluginError, 'unknown loss type "cross_entropi"'),
        ({"y": [0, 1]}, DataError, "labels are of dtype int64 and shape (2,)"),
        ({"network": [Conv(filters=2, kernel=9)]}, ShapeError, "cannot cover its input"),
        ({"optimizer": Sgd(lr=1e9)}, TrainingError, "finite"),
        ({"callbacks": ["emma"]}, PluginError, 'unknown callback type "emma"'),
        ({"shufle": "once"}, OptionError, 'did you mean "shuffle"?'),
        ({"epochs": 0}, OptionError, "epochs must be > 0, got 0"),
        ({"network": "my.toml"}, OptionError, "expected layers, or cnnkit.load_spec('my.toml')"),
        ({"lr": 0.1}, OptionError, 'optimizer={"type": "sgd", "lr": ...}, say'),
        ({"betas": (0.8, 0.9)}, OptionError, 'optimizer={"type": "adam", "betas": ...}, say'),
        ({"metric": ["loss"]}, OptionError, 'did you mean "metrics"?'),
    ],
)
def test_errors_are_those_of_elsewhere(digits, change, error, said, tmp_path):
    given = {"network": STACK, "x": digits.train.images, "y": digits.train.labels} | change
    with pytest.raises(error, match=re.escape(said)):
        cnnkit.fit(given.pop("network"), given.pop("x"), given.pop("y"), **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"best": "macro_f1"}, '"macro_f1" is no figure by which a checkpoint can be the best'),
        ({"memory": 1e-9}, "of memory that training needs with a batch of 32"),
        ({"callbacks": [{"type": "swa", "start": 11}]}, "swa begins in epoch 11"),
        (
            {"validation": None, "callbacks": [{"type": "plateau", "metric": "accuracy"}]},
            "plateau watches accuracy, which is measured on validation images, and there are none",
        ),
        ({"transforms": ["scale", "scale"]}, "values lie within -0.5..0.5, but scale maps from"),
        ({"network": [*STACK, "softmax"]}, "(softmax) follows another softmax"),
        (
            {"network": [*STACK[:-1], {"type": "dense", "units": 10}]},
            "layer 4 (dense) does not give probabilities, which cross_entropy",
        ),
        (
            {"network": [{"type": "relu", "lr_scale": 0.5}, *STACK]},
            "layer 1 (relu) has no weights, so lr_scale = 0.5 changes nothing",
        ),
        (
            {"network": [{"type": "softmax", "units": 10, "trainable": False}]},
            "no weight of this network learns",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_as_in_a_spec(digits, settings, said, tmp_path):
    given = {"network": STACK, "validation": 0.1} | settings
    with pytest.raises(SpecError, match=re.escape(said)):
        cnnkit.fit(given.pop("network"), digits.train.images, digits.train.labels, **given)
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_nothing_scales_are_warned_of(digits):
    x, y = digits.train.images, digits.train.labels
    for images, how in ((x, {"transforms": []}), (x.astype(np.float32), {})):
        with pytest.warns(UserWarning, match="values of 0 to 255 reach the network") as caught:
            cnnkit.fit(STACK, images, y, epochs=1, optimizer=Sgd(lr=1e-4), **how)
        assert caught[0].filename == __file__
    for images, how in ((x, {}), (x, {"transforms": ["scale"]}), (x / 255, {})):
        cnnkit.fit(STACK, images, y, epochs=1, **how)


def test_a_split_of_its_own_is_what_metrics_are_measured_on(digits):
    x, y = digits.train.images, digits.train.labels
    watching = [{"type": "early_stopping", "metric": "accuracy"}]
    run = cnnkit.fit(STACK, x[:99], y[:99], validation=(x[99:], y[99:]), callbacks=watching)
    assert "accuracy" in run.history[-1].validation


def test_a_subset_is_what_is_trained_on(digits, tmp_path, capsys):
    x, y = digits.train.images[:200], digits.train.labels[:200]
    rows = stratified_sample(y, 20, 0)
    few = cnnkit.fit(STACK, x[rows], y[rows], epochs=1)
    assert sha256(cnnkit.fit(STACK, x, y, epochs=1, subset=20)) == sha256(few)
    run = cnnkit.fit(STACK, x, y, epochs=1, subset=20, out=tmp_path / "run")
    assert sha256(run) == sha256(few)
    assert main(["verify", str(run.path)]) == 0


# --- callbacks and on_epoch ---------------------------------------------------------------------


class StopsAfterTwo(Callback):
    """Ends training after two epochs."""

    type: Literal["stops_after_two"] = "stops_after_two"

    def epoch(self, training, state):
        if training.epoch == 2:
            training.stop("enough")


def test_callbacks_act_and_are_told_of(digits):
    x, y = digits.train.images, digits.train.labels
    run = cnnkit.fit(STACK, x, y, epochs=5, callbacks=[StopsAfterTwo()])
    assert len(run.history) == 2
    assert run.summary["stopped"] == "stops_after_two: enough"


def test_an_on_epoch_that_raises_costs_nothing(digits):
    x, y = digits.train.images[:300], digits.train.labels[:300]
    called = []

    def fails(figures):
        called.append(figures["epoch"])
        figures["validation"] = None  # it has a copy
        return 1 / 0

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = cnnkit.fit(STACK, x, y, epochs=3, validation=0.2, on_epoch=fails)
    line = fails.__code__.co_firstlineno + 3
    assert [str(one.message) for one in caught] == [
        f"on_epoch raised ZeroDivisionError after epoch 1: division by zero ({__file__}, line "
        f"{line}); training goes on without it"
    ]
    assert called == [1]
    assert sha256(run) == sha256(cnnkit.fit(STACK, x, y, epochs=3, validation=0.2))
    assert all(record.validation for record in run.history)


# --- a run's folder -----------------------------------------------------------------------------


@pytest.mark.parametrize("held", ["none", "share", "pair"])
def test_with_a_folder_the_bits_are_the_same_and_all_is_on_disk(digits, tmp_path, held, capsys):
    x, y = digits.train.images[:400], digits.train.labels[:400]
    pair = digits.test.images[:50], digits.test.labels[:50]
    how = {"epochs": 2, "validation": {"none": None, "share": 0.2, "pair": pair}[held]}
    seen = []
    plain = cnnkit.fit(STACK, x, y, **how)
    run = cnnkit.fit(STACK, x, y, **how, out=tmp_path / "run", on_epoch=seen.append)
    assert sha256(run) == sha256(plain)
    assert run.path == tmp_path / "run"
    assert [one["weights_sha256"] for one in seen] == [one.weights_sha256 for one in run.history]
    again = cnnkit.Run.load(tmp_path / "run")
    assert again.history == run.history
    assert again.summary == json.loads((run.path / "summary.json").read_text())
    assert again.summary["test"] == {}
    assert (again.model.predict(x) == plain.model.predict(x)).all()
    assert again._repr_html_() == run._repr_html_()
    capsys.readouterr()
    assert main(["verify", str(run.path)]) == 0
    assert main(["resume", str(run.path), "--epochs", "3"]) == 0
    longer = cnnkit.fit(STACK, x, y, **{**how, "epochs": 3})
    assert sha256(cnnkit.Run.load(run.path)) == sha256(longer)


def test_the_folder_may_move_and_its_spec_still_runs(digits, tmp_path):
    x, y = digits.train.images[:200], digits.train.labels[:200]
    run = cnnkit.fit(STACK, x, y, epochs=1, out="run", classes=[f"no {n}" for n in range(10)])
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    again = cnnkit.train(cnnkit.load_spec(moved / "spec.toml"), out=tmp_path / "again")
    assert sha256(again) == sha256(run)
    assert again.model.classes == tuple(f"no {n}" for n in range(10))


def test_verbs_know_that_there_are_no_test_images(digits, tmp_path, capsys):
    x, y = digits.train.images[:200], digits.train.labels[:200]
    run = cnnkit.fit(STACK, x, y, epochs=2, validation=0.1, out="run")
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 2
    assert capsys.readouterr().err == (
        "error: npz has no test images; judge the run on others, such as with "
        "--set data.path=other.npz --set data.test=0.5\n"
    )
    assert main(["report", "run"]) == 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    right = run.history[-1].validation["accuracy"]
    assert f"fit names {right:.1%} of the validation images right" in page


class Cube(Layer):
    """x * x * x: shape -> shape."""

    type: Literal["cube"] = "cube"

    def forward(self, x, w, ctx):
        return x**3, lambda dy: (3 * x * x * dy, {})


def test_a_folder_needs_to_know_classes_of_ones_own(digits, tmp_path):
    stack, data = [Cube(), Softmax(units=10)], digits.train
    plain = cnnkit.fit(stack, data.images, data.labels, epochs=1)
    with pytest.raises(PluginError, match=re.escape("pass types=[Cube]")):
        cnnkit.fit(stack, data.images, data.labels, epochs=1, out="run")
    assert list(tmp_path.iterdir()) == []
    named = ["cube" if isinstance(one, Cube) else one for one in stack]
    assert sha256(cnnkit.fit(named, data.images, data.labels, epochs=1, types=[Cube])) == sha256(
        plain
    )
    run = cnnkit.fit(stack, data.images, data.labels, epochs=1, out="run", types=[Cube])
    assert sha256(cnnkit.Run.load("run", types=[Cube])) == sha256(run) == sha256(plain)


def test_what_a_folder_cannot_hold_is_refused(digits, tmp_path):
    x, y = digits.train.images[:, 0], digits.train.labels
    dense = [Softmax(units=10)]
    assert cnnkit.fit(dense, x, y, epochs=1).path is None
    with pytest.raises(DataError) as caught:
        cnnkit.fit(dense, x, y, epochs=1, out="run")
    wanted = f"images are of shape {x.shape}; out= keeps images (N, C, H, W)"
    assert str(caught.value) == wanted
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="already holds mine"):
        cnnkit.fit(STACK, digits.train.images, y, epochs=1, out="run")


def test_an_interrupted_run_can_be_loaded_and_goes_on(digits, tmp_path, capsys):
    x, y = digits.train.images[:200], digits.train.labels[:200]

    def stop(figures):
        if figures["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cnnkit.fit(STACK, x, y, epochs=3, out="run", on_epoch=stop)
    run = cnnkit.Run.load("run")
    assert run.summary == {"status": "interrupted", "epochs": 2, "message": "Ctrl-C"}
    assert len(run.history) == 2
    assert "status         interrupted" in repr(run)
    assert main(["resume", "run"]) == 0
    assert sha256(cnnkit.Run.load("run")) == sha256(cnnkit.fit(STACK, x, y, epochs=3))


def test_a_run_of_train_and_one_of_fit_answer_the_same_names(digits, tmp_path):
    (tmp_path / "small.toml").write_text(SPEC)
    trained = cnnkit.train(cnnkit.load_spec("small.toml"), out=tmp_path / "run")
    fitted = cnnkit.fit(STACK, digits.train.images, digits.train.labels, epochs=1)
    assert trained.summary.keys() == fitted.summary.keys()
    again = cnnkit.Run.load(tmp_path / "run")
    assert (again.history, again.summary["test"]) == (trained.history, trained.summary["test"])
    for run in (trained, fitted, again):
        assert isinstance(run, cnnkit.Run)
        assert isinstance(run.spec, cnnkit.RunSpec)
        assert run.plot()._repr_svg_().startswith("<svg")
        assert run.model.summary()[0].path == "0_conv"
    with pytest.raises(DataError, match="were in memory alone"):
        cnnkit.train(fitted.spec, out=tmp_path / "other")


# --- progress -----------------------------------------------------------------------------------


def test_progress_is_a_plain_line_an_epoch_off_a_terminal(digits, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    x, y = digits.train.images[:100], digits.train.labels[:100]
    line = r"epoch 1/1: loss \d\.\d{4} \(\d\.\d s, [\d,]+ images/s\)\n"
    cnnkit.fit(STACK, x, y, epochs=1)
    out, err = capsys.readouterr()
    assert (out, bool(re.fullmatch(line, err))) == ("", True)
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    cnnkit.fit(STACK, x, y, epochs=1)
    out, err = capsys.readouterr()
    assert (bool(re.fullmatch(line, out)), err) == (True, "")
    cnnkit.fit(STACK, x, y, epochs=1, quiet=True)
    assert capsys.readouterr() == ("", "")


# --- what is shown ------------------------------------------------------------------------------


def cells(html):
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_what_a_notebook_shows(digits):
    run = cnnkit.fit(STACK, digits.train.images, digits.train.labels, epochs=3, validation=0.1)
    rows = cells(run.model._repr_html_())
    assert rows[0] == ["layer", "type", "shape", "weights", "MACs", "memory"]
    assert rows[1][:5] == ["1", "conv", "(4,6,6)", "40", "1,296"]
    weights = sum(w.size for w in flatten(run.model.weights).values())
    assert rows[-1][::3] == ["all", f"{weights:,}"]
    html, last = run._repr_html_(), run.history[-1]
    assert cells(html)[:7] == [
        ["run", "fit"],
        ["status", "done"],
        ["folder", "none: it is in memory alone"],
        ["epochs", "3"],
        ["training loss", f"{last.train_loss:.4f}"],
        ["validation loss", f"{last.validation['loss']:.4f}"],
        ["validation accuracy", f"{last.validation['accuracy']:.4f}"],
    ]
    assert html.endswith(run.plot()._repr_html_())
    assert html.count("<svg") == 2
    assert "<script" not in html
    assert "http" not in html
    assert 'aria-label="Loss: train from ' in html
    path = re.search(r'<path class="line" d="M([^"]+)"', html)[1]
    assert path.count("L") == 2  # three epochs


def test_the_curves_as_a_file(digits, tmp_path):
    run = cnnkit.fit(STACK, digits.train.images, digits.train.labels, epochs=3, validation=0.1)
    run.plot().save(tmp_path / "curves.svg")
    root = ElementTree.parse(tmp_path / "curves.svg").getroot()  # noqa: S314  # our own file
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == ("680", "254")
    assert root.get("aria-label") == repr(run.plot())
    names = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Loss", "On the validation images", "train", "validation", "accuracy"} <= {*names}


def test_what_a_prompt_shows(digits):
    run = cnnkit.fit(STACK, digits.train.images[:300], digits.train.labels[:300], epochs=2)
    one, two = run.history
    assert repr(run).splitlines()[:5] == [
        "run            fit",
        "status         done",
        "folder         none: it is in memory alone",
        "epochs         2",
        f"training loss  {two.train_loss:.4f}",
    ]
    assert repr(run.history) == (
        "epoch    loss  seconds\n"
        f"    1  {one.train_loss:.4f}      {one.seconds:.1f}\n"
        f"    2  {two.train_loss:.4f}      {two.seconds:.1f}"
    )
    shown = (
        "name            fit\n"
        "seed            0\n"
        "data            arrays (validation = 0.0, transforms = [scale])\n"
        "model.layers 1  conv (filters = 4, kernel = [3, 3])\n"
        "model.layers 2  relu\n"
        "model.layers 3  pool\n"
        "model.layers 4  softmax (units = 10)\n"
        "loss            cross_entropy\n"
        "optimizer       adam (lr = 0.001)\n"
        "train.epochs    2\n"
        "train.batch     32\n"
        "metrics 1       accuracy"
    )
    assert str(run.spec) == repr(run.spec) == shown
    table = [re.split("  +", line) for line in shown.splitlines()]
    assert cells(run.spec._repr_html_()) == table


def test_one_epoch_is_told_in_words(digits):
    run = cnnkit.fit(STACK, digits.train.images, digits.train.labels, epochs=1)
    for shown in (run._repr_html_(), run.plot()._repr_svg_(), repr(run.plot())):
        assert "<path" not in shown
        assert f"epoch 1: loss {run.history[0].train_loss:.4g}" in shown
    assert repr(type(run.history)().plot()) == "no epoch yet"
