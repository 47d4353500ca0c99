"""What a model says of images with labels: figures and gradients, against slow arithmetic."""

from __future__ import annotations

import re

import numpy as np
import pytest

import cnnkit
from cnnkit.arrays import flatten
from cnnkit.base import Split
from cnnkit.errors import DataError, PluginError, ShapeError
from cnnkit.layers import BatchNorm, Conv, Dense, Dropout, Relu, Residual, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.metrics import Accuracy, Confusion
from cnnkit.optimizers import Sgd
from cnnkit.transforms import Scale

LAYERS = [
    Conv(filters=3, kernel=3),
    BatchNorm(),
    Residual(body=[Conv(filters=3, kernel=3, padding="same"), Relu()]),
    Dropout(rate=0.5),
    Dense(units=6),
    Softmax(units=4),
]


@pytest.fixture
def model():
    return cnnkit.Model.build(LAYERS, (2, 5, 6), seed=3, dtype="float64", transforms=[Scale()])


@pytest.fixture
def pictures():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (37, 2, 5, 6), np.uint8), rng.integers(0, 4, 37)


def mean_loss(model, x, y):
    return float(-np.log(model.predict(x)[np.arange(len(y)), y]).mean())


def test_gradients_are_the_slopes_of_the_mean_loss(model, pictures):
    """More images than are taken at a time, and a network whose head the loss takes over."""
    grads, weights = model.gradients(*pictures), flatten(model.weights)
    fixed = {"1_batch_norm/mean", "1_batch_norm/variance"}
    assert grads.keys() == {"input", *weights} - fixed
    rng = np.random.default_rng(2)
    for path in sorted(grads.keys() - {"input"}):
        w, towards = weights[path], rng.normal(size=weights[path].shape)
        before, step = w.copy(), 1e-6
        ends = []
        for sign in (1, -1):
            w[...] = before + sign * step * towards
            ends.append(mean_loss(model, *pictures))
        w[...] = before
        slope = (ends[0] - ends[1]) / (2 * step)
        assert float((grads[path] * towards).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_the_gradient_of_the_input_is_that_of_what_the_first_layer_sees(pictures):
    x, y = pictures[0] / 255.0, pictures[1]
    model = cnnkit.Model.build(LAYERS, (2, 5, 6), seed=3, dtype="float64")
    towards, step = np.random.default_rng(4).normal(size=x.shape), 1e-6
    ends = [mean_loss(model, x + sign * step * towards, y) for sign in (1, -1)]
    found = model.gradients(x, y)["input"]
    assert found.shape == x.shape
    assert float((found * towards).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * step))


def test_figures_are_those_of_a_trainer(model, pictures):
    trainer = cnnkit.Trainer(
        model, CrossEntropy(), Sgd(lr=0.1), metrics=[Accuracy(), Confusion()], epochs=1
    )
    found = model.evaluate(*pictures, metrics=["accuracy", {"type": "confusion"}])
    assert found == trainer.evaluate(Split(*pictures))
    assert found["loss"] == pytest.approx(mean_loss(model, *pictures), rel=1e-12)
    right = (model.predict(pictures[0]).argmax(axis=1) == pictures[1]).mean()
    assert model.evaluate(*pictures)["accuracy"] == right


@pytest.mark.parametrize("method", ["evaluate", "gradients"])
@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"labels": [0, 1]}, DataError, "labels are of dtype int64 and shape (2,); expected 37"),
        ({"labels": np.full(37, 4)}, DataError, "labels are 4 to 4; expected 0 to 3"),
        ({"loss": "cross_entropi"}, PluginError, 'unknown loss type "cross_entropi"'),
    ],
)
def test_what_does_not_fit_is_refused(model, pictures, method, change, error, said):
    given = {"images": pictures[0], "labels": pictures[1], **change}
    with pytest.raises(error, match=re.escape(said)):
        getattr(model, method)(given.pop("images"), given.pop("labels"), **given)
    with pytest.raises(ShapeError, match="whose outputs are >= 0 and sum to 1"):
        getattr(cnnkit.Model.build(["relu"], (4,)), method)(np.ones((2, 4)), [0, 1])
