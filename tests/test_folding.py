"""A batch_norm behind a conv is folded into it in prediction; nobody can tell but by the clock."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from cnnkit import Model, Trainer
from cnnkit.arrays import flatten
from cnnkit.base import Context, forward_chain
from cnnkit.folding import fold, merged
from cnnkit.layers import BatchNorm, DepthwiseSeparable
from cnnkit.losses import CrossEntropy
from cnnkit.optimizers import Sgd


def conv(filters=4, **more):
    return {"type": "conv", "filters": filters, "kernel": 3, "padding": "same", **more}


class Mine(BatchNorm):
    """Derives from batch_norm, and does something else."""

    type: Literal["mine"] = "mine"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y + 1, back


class Twice(DepthwiseSeparable):
    """Derives from what stands for a chain, and does something else."""

    type: Literal["twice"] = "twice"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y * 2, lambda dy: back(dy * 2)


class Kept(DepthwiseSeparable):
    """Derives from it and does the same, under a name that no chain may bear."""

    type: Literal["Kept"] = "Kept"


HEAD = {"type": "softmax", "units": 3}
NETWORKS = {
    "plain": ([conv(), "batch_norm", "relu", "pool", conv(bias="none"), "batch_norm", HEAD], 2),
    "untied": ([conv(bias="untied"), {"type": "batch_norm", "eps": 0.1}, HEAD], 1),
    "grouped": ([conv(4, groups=2, stride=2), "batch_norm", HEAD], 1),
    "twice": ([conv(), "batch_norm", "batch_norm", HEAD], 1),
    "inside": ([
        {"type": "residual", "project": True, "body": [conv(6), "batch_norm", "relu", conv(6)]},
        {"type": "residual", "body": [conv(6), "batch_norm"],
         "shortcut": [{"type": "conv", "filters": 6, "kernel": 1}, "batch_norm"]},
        {"type": "parallel", "branches": [[conv(2), "batch_norm", "relu"], [], ["batch_norm"]]},
        {"type": "sequential", "layers": [conv(3), "batch_norm", "relu", "pool"]},
        {"type": "depthwise_separable", "filters": 4, "between": ["batch_norm", "relu"]},
        "global_pool", HEAD], 6),
    "behind what ends with one": ([
        {"type": "depthwise_separable", "filters": 4, "between": ["batch_norm"], "bias": "none"},
        "batch_norm", "relu",
        {"type": "residual", "body": [{"type": "depthwise_separable", "filters": 4}, "batch_norm"]},
        {"type": "sequential", "name": "two", "layers": [
            "relu", {"type": "sequential", "layers": [conv(3)]}]}, "batch_norm",
        Twice(filters=3), "relu", HEAD], 4),
    "none": ([conv(), "relu", "batch_norm", "batch_norm", conv(), Mine(),
              Kept(filters=2, between=["batch_norm"]), "batch_norm",
              Twice(filters=3, between=["batch_norm"]), "batch_norm",
              {"type": "residual", "body": [conv(3)]}, "batch_norm",
              {"type": "sequential", "layers": [conv(), "relu"]}, "batch_norm", HEAD], 0),
}  # fmt: skip


def trained(layers, dtype="float64"):
    rng = np.random.default_rng(0)
    x, y = 1 + rng.standard_normal((40, 2, 6, 7)).astype(dtype), rng.integers(0, 3, 40)
    model = Model.build(layers, (2, 6, 7), dtype=dtype)
    Trainer(model, CrossEntropy(), Sgd(lr=0.1), epochs=2, batch=8).fit(x, y)
    return model, x


def as_written(model, x):
    """Run the layers one by one."""
    return forward_chain(model.network.steps, x, model.weights, Context(wants_dx=False))[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NETWORKS)
def test_predictions_are_those_of_the_layers(name, dtype):
    layers, count = NETWORKS[name]
    model, x = trained(layers, dtype)
    before = {path: w.copy() for path, w in flatten(model.weights).items()}
    _, folds = fold(model.network.steps, model.input_shape)
    assert len(folds) == count
    bound = 1e-12 if dtype == "float64" else 2e-6
    np.testing.assert_allclose(model.predict(x), as_written(model, x), rtol=0, atol=bound)
    after = flatten(model.weights)
    assert list(after) == list(before)
    assert all(np.array_equal(w, after[path]) for path, w in before.items())


def test_no_norm_is_run_and_names_stay():
    model, _ = trained(NETWORKS["inside"][0])
    steps, folds = fold(model.network.steps, model.input_shape)
    assert [name for name, _ in steps] == model.network.names
    body = steps[0][1]._body
    assert [name for name, _ in body.steps] == ["0_conv", "2_relu", "3_conv"]
    changed = flatten(merged(model.weights, folds))
    assert not np.array_equal(changed["0_residual/0_conv/W"],
                              flatten(model.weights)["0_residual/0_conv/W"])  # fmt: skip


def test_weights_that_move_are_seen():
    model, x = trained(NETWORKS["plain"][0])
    first = model.predict(x)
    model.weights["0_conv"]["W"] += 0.1
    model.weights["1_batch_norm"]["mean"] -= 0.1
    second = model.predict(x)
    assert not np.allclose(first, second)
    np.testing.assert_allclose(second, as_written(model, x), rtol=0, atol=1e-12)


def test_evaluation_during_training_is_that_of_the_layers():
    model, x = trained(NETWORKS["plain"][0])
    y = np.arange(40) % 3
    (epoch,) = Trainer(model, CrossEntropy(), Sgd(lr=0.1), epochs=1, batch=8).fit(x, y, (x, y))
    wanted = -np.log(as_written(model, x)[np.arange(40), y]).mean()
    assert epoch.validation["loss"] == pytest.approx(wanted, rel=1e-12)


def test_what_is_saved_is_what_was_written(tmp_path):
    model, x = trained(NETWORKS["inside"][0])
    first = model.predict(x)
    model.save(tmp_path / "m.safetensors")
    again = Model.load(tmp_path / "m.safetensors")
    assert flatten(again.weights).keys() == flatten(model.weights).keys()
    assert np.array_equal(again.predict(x), first)
    assert "0_residual/1_batch_norm" in again.activations(x[:2])
