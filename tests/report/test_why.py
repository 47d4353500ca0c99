"""`cnnkit why`: runs that are spoilt on purpose, and sound ones; and the record that it reads."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnkit import Model, Trainer
from cnnkit.base import Data, DataPaths
from cnnkit.datasets import Digits
from cnnkit.layers import Conv, Dense, Relu, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.optimizers import Sgd
from cnnkit.report.causes import alike
from cnnkit.runs.vitals import Vitals

CONV = '{ type = "conv", filters = 8, kernel = 3, padding = "same" }'
HEAD = '{ type = "softmax", units = 10 }'
POOL = '{ type = "pool", size = 2 }'
NETS = {
    "cnn": f'{CONV}, "relu", {POOL}, {{ type = "dense", units = 32 }}, "relu", {HEAD}',
    "norm": f'{CONV}, "batch_norm", "relu", {POOL}, {CONV}, "batch_norm", "relu", {HEAD}',
    "mlp": f'"flatten", {{ type = "dense", units = 64 }}, "relu", {HEAD}',
    "tanh": f'{CONV}, "tanh", {POOL}, {{ type = "dropout", rate = 0.3 }}, {HEAD}',
    "residual": f'{CONV}, {{ type = "residual", body = [{CONV}, "relu", {CONV}] }}, {POOL}, {HEAD}',
    "linear": f'"flatten", {HEAD}',
}
SGD, ADAM = 'type = "sgd"\nmomentum = 0.9\nlr = ', 'type = "adam"\nlr = '
NPZ = 'type = "npz"\npath = "own.npz"\nvalidation = 0.2\ntransforms = ["scale"]'
NOTHING = "nothing stands out\n"


def written(layers=NETS["cnn"], optimizer=f"{SGD}0.05", epochs=5, data='type = "digits"', rest=""):
    text = (
        f'name = "case"\n[data]\n{data}\n[model]\nlayers = [{layers}]\n[loss]\n'
        f'type = "cross_entropy"\n[optimizer]\n{optimizer}\n[train]\nepochs = {epochs}\n{rest}'
    )
    Path("case.toml").write_text(text)
    return Path("case.toml")


@pytest.fixture
def told(call):
    """Train a spec and return what `why` prints."""

    def told_(*spec, **how):
        shutil.rmtree("run", ignore_errors=True)
        code, _, err = call(
            "run", written(*spec, **how), "--out", "run", "--quiet", "--no-report"
        )  # fmt: skip
        assert code in (0, 1), err  # some spoilt ones fail
        code, out, _ = call("why", "run")
        assert code == 0
        return out

    return told_


@pytest.fixture(scope="module")
def digits() -> Data:
    return Digits().load(DataPaths(None, lambda line: None))


def saved(x, y, test_x, test_y):
    np.savez("own.npz", x_train=x, y_train=y, x_test=test_x, y_test=test_y)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("optimizer", [f"{SGD}0.05", f"{ADAM}0.003"], ids=["sgd", "adam"])
def test_sound_runs(told, net, optimizer):
    assert told(NETS[net], optimizer) == NOTHING


@pytest.mark.parametrize(
    ("net", "optimizer"),
    [
        ("cnn", 'type = "sgd"\nlr = 0.1'),
        ("cnn", f'{ADAM}0.004\nschedule = {{ type = "cosine", warmup = 1 }}'),
        ("mlp", f'{SGD}0.05\nschedule = {{ type = "cosine" }}'),
        ("norm", 'type = "adamw"\nweight_decay = 0.05\nlr = 0.003'),
    ],
)
def test_sound_runs_of_other_schedules(told, net, optimizer):
    assert told(NETS[net], optimizer, 4) == NOTHING


def test_the_shipped_spec_is_sound(call):
    path = Path(__file__).parents[2] / "specs" / "tiny.toml"
    assert call("run", path, "--out", "run", "--quiet", "--no-report")[0] == 0
    assert call("why", "run")[1] == NOTHING


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("optimizer", "lr"), [(SGD, 1.5), (ADAM, 0.09)], ids=["sgd", "adam"])
def test_a_rate_30_times_too_high(told, net, optimizer, lr):
    out = told(NETS[net], f"{optimizer}{lr}").splitlines()
    assert out[0] == f"the learning rate is too high: lr = {lr:g}"
    assert any(line.startswith("  the first step moved the weights by ") for line in out)
    assert lr / 1000 <= float(out[-1].removeprefix("  try: lr = ")) <= lr / 5


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("optimizer", "lr"), [(SGD, 0.0016), (ADAM, 0.0001)], ids=["sgd", "adam"])
def test_a_rate_30_times_too_low(told, net, optimizer, lr):
    out = told(NETS[net], f"{optimizer}{lr}")
    assert out.startswith(f"the learning rate is too low: lr = {lr:g}\n  a step moves the weights ")
    better = float(out.rpartition("try: lr = ")[2])
    assert 3 * lr <= better <= 100 * lr


def test_a_rate_so_high_that_the_run_fails(told):
    out = told(optimizer=f"{SGD}1e6")
    assert out.startswith(
        "the learning rate is too high: lr = 1e+06\n  the run failed: the loss is not finite at "
    )
    assert out.endswith("try: lr = 0.05\n")


@pytest.mark.parametrize("lr", [0.01, 0.00001])
def test_the_rate_against_a_range_test(lr, told, call):
    """The test is that of `cnnkit lr`; whether a rate is far from it, is counted in decades."""
    before = told(optimizer=f"{ADAM}{lr}")
    found = json.loads(call("lr", "case.toml", "--json")[1])
    code, out, err = call("why", "run", "--range-test")
    best, low = found["suggestion"], int(np.argmin(found["smoothed"]))
    far = abs(np.log10(lr / best)) > 1
    assert far == (lr < 0.001)
    assert (code, err) == (0, "")
    said = (
        f"the learning rate against the range test: lr = {lr:g}, where the loss falls fastest at "
        f"{best:g}"
    )
    fell = (
        f"  from lr = 1e-06 to {found['rates'][low]:.2g} the loss goes from "
        f"{found['smoothed'][0]:.3g} to {found['smoothed'][low]:.3g}; the test ended where "
        f"{found['ended']}"
    )
    if far:  # that the rate is too low was found before: now it is known which one to try
        *lines, _ = before.splitlines()
        assert out.splitlines() == [*lines, f"  {said}", fell, f"  try: lr = {best:g}"]
    else:
        assert (
            out
            == f"{before}{said}\n{fell}\n  try: lr = {lr:g} as it is: it is within 10 times that\n"
        )


def test_of_data_that_are_not_scaled_a_range_test_says_nothing_new(told, call):
    before = told(data='type = "digits"\ntransforms = []')
    assert before.startswith("the data are not scaled\n")
    assert call("why", "run", "--range-test")[:2] == (0, before)


def test_a_run_that_failed_otherwise(told, call):
    told()
    status = {"status": "failed", "epoch": 5, "message": "plugin odd raised KeyError\nmore"}
    Path("run/status.json").write_text(json.dumps(status))
    Path("run/summary.json").unlink()
    assert call("why", "run")[1] == (
        "the run failed\n  plugin odd raised KeyError\n  try: log.txt in the run's folder says "
        "where\n"
    )


@pytest.mark.parametrize("optimizer", [f"{SGD}0.05", f"{ADAM}0.003"], ids=["sgd", "adam"])
def test_dead_relus(told, optimizer):
    bias = 'padding = "same", bias_init = { type = "normal", mean = -9.0, std = 0.01 }'
    layers = NETS["cnn"].replace('padding = "same"', bias)
    out = told(layers, optimizer).splitlines()
    assert out[:2] == [
        "dead units: layer 2 (relu) gives nothing",
        "  at the first step 8 of 8 units of layer 2 (relu) give 0 for every image looked at",
    ]
    assert out[-1] == "  try: the defaults of init and bias_init in the layer before it"


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("optimizer", [f"{SGD}0.05", f"{ADAM}0.003"], ids=["sgd", "adam"])
def test_unscaled_data(told, net, optimizer, digits):
    out = told(NETS[net], optimizer, data='type = "digits"\ntransforms = []')
    assert out.startswith("the data are not scaled\n  what enters the first layer has mean 7")
    assert abs(digits.train.images.mean() - 77) < 3


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("optimizer", [f"{SGD}0.03", f"{ADAM}0.003"], ids=["sgd", "adam"])
def test_shuffled_labels(told, call, net, optimizer, digits):
    rng, train, test = np.random.default_rng(1), digits.train, digits.test
    saved(train.images, rng.permutation(train.labels), test.images, rng.permutation(test.labels))
    line = "the labels do not go with the images: shuffled, or of other images\n"
    out = told(NETS[net], optimizer, data=NPZ)
    assert out.startswith(line)
    assert "the most similar other image has the same label for " in out
    Path("own.npz").unlink()  # it is said without the data as well
    again = call("why", "run")[1]
    assert again.startswith(line)
    assert "most similar" not in again


@pytest.mark.parametrize("optimizer", [f"{SGD}0.05", f"{ADAM}0.003"], ids=["sgd", "adam"])
def test_one_class_at_95_percent(told, optimizer, digits):
    def uneven(split):
        ones, others = np.flatnonzero(split.labels == 1), np.flatnonzero(split.labels != 1)
        ones = np.repeat(ones, 6)
        chosen = np.concatenate([ones, others[:: 19 * len(others) // len(ones)]])
        chosen = np.random.default_rng(0).permutation(chosen)
        return split.images[chosen], split.labels[chosen]

    saved(*uneven(digits.train), *uneven(digits.test))
    out = told(optimizer=optimizer, data=NPZ).splitlines()
    assert out[0] == "the classes are uneven"
    assert "images are of class 1 (95%)" in out[1]


def test_a_network_that_cannot_tell_is_not_taken_for_wrong_labels(told):
    layers = f'{{ type = "pool", size = 8 }}, {{ type = "dense", units = 2 }}, {HEAD}'
    out = told(layers, f"{ADAM}0.01", 8)
    assert out.startswith("it learns too little (underfitting)\n")


def test_saturated_activations(told):
    wide = '{ type = "dense", units = 32, init = { type = "normal", std = 5.0 } }'
    out = told(f'"flatten", {wide}, "sigmoid", {HEAD}')
    assert out.startswith("saturated: layer 3 (sigmoid) passes no gradient\n")


def test_vanishing_gradients(told):
    deep = ", ".join(['{ type = "dense", units = 32 }, "sigmoid"'] * 7)
    out = told(f'"flatten", {deep}, {HEAD}')
    assert out.startswith("the gradients vanish on their way to layer 2 (dense)\n")


def test_learning_by_heart(told, digits):
    train, test = digits.train, digits.test
    noisy = train.labels[:150].copy()
    noisy[::4] = (noisy[::4] + 1) % 10  # cannot be learned otherwise
    saved(train.images[:150], noisy, test.images, test.labels)
    out = told(NETS["mlp"], f"{ADAM}0.003", 80, NPZ)
    assert out.startswith("it learns the training images by heart (overfitting)\n")
    assert "try: dropout" in out


def test_json(told, call):
    told(optimizer=f"{ADAM}0.09")
    found = json.loads(call("why", "run", "--json")[1])
    assert found.keys() == {"run", "findings", "unseen", "vitals"}
    assert [one["cause"] for one in found["findings"]] == ["rate_high"]
    assert found["findings"][0].keys() == {"cause", "said", "evidence", "advice"}
    assert found["unseen"] == []
    assert [look["epoch"] for look in found["vitals"]] == [0, 2, 4, 5]


def test_figures(told, call):
    assert told() == NOTHING
    lines = call("why", "run", "--figures")[1].splitlines()
    assert lines[:2] == [NOTHING.strip(), ""]
    assert lines[2].split() == ["layer", "epoch", "gradient", "update", "silent", "saturated"]
    assert len(lines) == 4 + 5 * 4  # conv, relu, dense, relu and the dense of softmax, 4 looks
    assert max(map(len, lines)) <= 80


def test_a_run_without_the_record(told, call):
    told(NETS["mlp"], optimizer=f"{SGD}1.5")
    Path("run/vitals.jsonl").unlink()
    code, out, err = call("why", "run")
    assert code == 0
    assert out.startswith("the learning rate is too high: lr = 1.5\n  lr = 1.5, where 0.05 is ")
    assert err == (
        "note: the run has no vitals.jsonl: units, gradients and updates could not be seen\n"
    )
    assert told() == NOTHING
    Path("run/vitals.jsonl").unlink()
    assert call("why", "run")[1] == NOTHING


def test_a_run_without_a_finished_epoch(told, call):
    told(data='type = "digits"\nvalidation = 0.2')
    Path("run/metrics.jsonl").write_text("")
    Path("run/summary.json").unlink()
    said = "note: no epoch of the run is finished: there is nothing to judge its course by"
    assert call("why", "run")[2].splitlines()[-1] == said


def test_a_damaged_record_is_named(told, call):
    told()
    Path("run/vitals.jsonl").write_text('{"epoch": 0}\n')
    code, _, err = call("why", "run")
    assert code == 2
    assert err == (
        "error: run/vitals.jsonl:1 is damaged: expected an epoch, weights and activations\n"
    )


def test_a_run_that_goes_on_is_recorded_once(told, call):
    told(epochs=2)
    assert call("resume", "run", "--epochs", "4", "--quiet", "--no-report")[0] == 0
    lines = Path("run/vitals.jsonl").read_text()
    Path("run/vitals.jsonl").write_text(lines + lines.splitlines()[-1])  # cut off in the last one
    looks = json.loads(call("why", "run", "--json")[1])["vitals"]
    assert [look["epoch"] for look in looks] == [0, 2, 4]


@pytest.mark.parametrize("net", NETS)
def test_looking_changes_no_bit(told, monkeypatch, net):
    told(NETS[net], epochs=2)
    summary = json.loads(Path("run/summary.json").read_text())
    assert Path("run/vitals.jsonl").exists()
    monkeypatch.setattr(Vitals, "__init__", lambda *a: None)
    monkeypatch.setattr(Vitals, "after_step", lambda *a: None)
    monkeypatch.setattr(Vitals, "epoch", lambda *a: None)
    told(NETS[net], epochs=2)
    assert not Path("run/vitals.jsonl").exists()
    without = json.loads(Path("run/summary.json").read_text())
    assert summary["weights_sha256"] == without["weights_sha256"]


def test_the_record_against_a_step_by_hand(told, tmp_path):
    """One batch an epoch, of one shard: gradient and update follow from the formulas."""
    rng = np.random.default_rng(3)
    x, y = rng.random((8, 1, 4, 4)).astype(np.float32), np.arange(8) % 3
    layers = [Conv(filters=4, kernel=3), Relu(), Dense(units=5), Relu(), Softmax(units=3)]
    model = Model.build(layers, (1, 4, 4))
    before = {name: model.weights[name]["W"].copy() for name in ("0_conv", "2_dense")}
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.5), epochs=1, batch=8, shuffle="none")
    vitals = Vitals(tmp_path, trainer, y, 1, 8)
    trainer.watch = vitals.after_step
    trainer.fit(x, y)
    vitals.epoch(1)
    first, last = map(json.loads, (tmp_path / "vitals.jsonl").read_text().splitlines())
    assert first.pop("classes") == [3, 3, 2]
    assert first | {"epoch": 1} == last  # the only step is the first, and the last
    for name, W in before.items():
        update = np.linalg.norm(model.weights[name]["W"] - W) / np.linalg.norm(W)
        assert last["weights"][name]["update"] == pytest.approx(update, rel=1e-3)
        assert last["weights"][name]["gradient"] == pytest.approx(update / 0.5, rel=1e-3)
    assert last["input"] == {
        "mean": pytest.approx(x.mean(), rel=1e-3), "std": pytest.approx(x.std(), rel=1e-3)
    }  # fmt: skip
    again = Model.build(layers, (1, 4, 4)).activations(x)
    silent = int((again["1_relu"].max(axis=(0, 2, 3)) <= 0).sum())
    assert last["activations"]["1_relu"] == {"units": 4, "silent": silent, "flat": 0.0}


def test_what_cannot_be_measured_spoils_no_run(told, monkeypatch):
    def fail(*a):
        raise ValueError("no such figure")

    monkeypatch.setattr(sys.modules["cnnkit.runs.vitals"], "_flat", fail)
    assert told() == NOTHING


def test_nearest_images():
    x = np.repeat(np.arange(50.0), 2)[:, None, None, None] * np.ones((1, 1, 2, 2))
    x[1::2] += 0.1  # pairs
    y = np.repeat(np.arange(50) % 5, 2)
    assert alike(x, y) == 1.0
    y[1::2] = (y[1::2] + 1) % 5
    assert alike(x, y) == 0.0
