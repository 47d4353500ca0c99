"""`cnnkit.fit`: arrays in, a model with its history out; and what a notebook shows of both."""

from __future__ import annotations

import re

import numpy as np
import pytest

import cnnkit
from cnnkit.arrays import flatten
from cnnkit.base import DataPaths
from cnnkit.datasets import Digits
from cnnkit.errors import DataError, PluginError, ShapeError, TrainingError
from cnnkit.layers import Conv, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.optimizers import Sgd
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
def _nothing_on_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".toml"] == []


def test_layers_and_arrays_are_enough(digits):
    x, y = digits.train.images, digits.train.labels
    seen = []
    how = {"epochs": 8, "validation": 0.1, "on_epoch": seen.append}
    model = cnnkit.fit(STACK, x, y, optimizer=Sgd(lr=0.1, momentum=0.9), **how)
    assert model.history == tuple(seen)
    assert [record.epoch for record in seen] == list(range(1, 9))
    assert seen[-1].validation["accuracy"] > 0.9
    assert (model.predict(digits.test.images).argmax(axis=1) == digits.test.labels).mean() > 0.9
    assert [type(one) for one in model.transforms] == [Scale]


def test_it_is_what_the_trainer_does(digits):
    x, y = digits.train.images[:200], digits.train.labels[:200]
    held = digits.test.images[:50], digits.test.labels[:50]
    model = cnnkit.fit(
        STACK, x, y, validation=held, epochs=2, batch=20, seed=3, shuffle="once",
        optimizer={"type": "sgd", "lr": 0.1}, transforms=["scale"], metrics=[],
    )  # fmt: skip
    same = cnnkit.Model.build(STACK, (1, 8, 8), seed=3, transforms=[Scale()])
    trainer = cnnkit.Trainer(
        same, CrossEntropy(), Sgd(lr=0.1), epochs=2, batch=20, seed=3, shuffle="once"
    )
    records = trainer.fit(x, y, held)
    assert [r.validation for r in model.history] == [r.validation for r in records]
    assert (model.weights["0_conv"]["W"] == same.weights["0_conv"]["W"]).all()
    assert model.trained_on == same.trained_on


def test_a_spec_brings_its_settings(digits, tmp_path):
    (tmp_path / "small.toml").write_text(SPEC)
    spec = cnnkit.load_spec("small.toml")
    data = digits.train
    model = cnnkit.fit(spec, data.images, data.labels)
    same = cnnkit.fit(
        STACK, data.images, data.labels, epochs=2, optimizer=Sgd(lr=0.1), seed=5,
        transforms=spec.data.transforms,
    )  # fmt: skip
    assert (model.weights["0_conv"]["W"] == same.weights["0_conv"]["W"]).all()
    assert len(cnnkit.fit(spec, data.images, data.labels, epochs=1).history) == 1


def test_floats_are_taken_as_they_are(digits):
    x = (digits.train.images / 255 - 0.5).astype(np.float32)
    assert cnnkit.fit(STACK, x, digits.train.labels, epochs=1).transforms == ()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"loss": "cross_entropi"}, PluginError, 'unknown loss type "cross_entropi"'),
        ({"y": [0, 1]}, DataError, "labels are of dtype int64 and shape (2,)"),
        ({"network": [Conv(filters=2, kernel=9)]}, ShapeError, "cannot cover its input"),
        ({"optimizer": Sgd(lr=1e9)}, TrainingError, "finite"),
    ],
)
def test_errors_are_those_of_elsewhere(digits, change, error, said):
    given = {"network": STACK, "x": digits.train.images, "y": digits.train.labels} | change
    with pytest.raises(error, match=re.escape(said)):
        cnnkit.fit(given.pop("network"), given.pop("x"), given.pop("y"), **given)


def test_what_a_notebook_shows(digits):
    model = cnnkit.fit(STACK, digits.train.images, digits.train.labels, epochs=3, validation=0.1)
    lines = re.findall(r"<tr>(.*?)</tr>", model._repr_html_())
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in lines]
    assert rows[0] == ["layer", "type", "shape", "weights", "MACs", "memory"]
    assert rows[1][:5] == ["1", "conv", "(4,6,6)", "40", "1,296"]
    assert rows[-1][0] == "all"
    weights = sum(w.size for w in flatten(model.weights).values())
    assert rows[-1][3] == f"{weights:,}"
    html = model.history._repr_html_()
    assert html.count("<svg") == 2
    assert "<script" not in html
    assert "http" not in html
    assert 'aria-label="Loss: train from ' in html
    path = re.search(r'<path class="line" d="M([^"]+)"', html)[1]
    assert path.count("L") == 2  # three epochs


def test_one_epoch_is_told_in_words(digits):
    model = cnnkit.fit(STACK, digits.train.images, digits.train.labels, epochs=1)
    html = model.history._repr_html_()
    assert "<svg" not in html
    assert f"epoch 1: loss {model.history[0].train_loss:.4g}" in html
    assert "no epoch yet" in type(model.history)()._repr_html_()
