"""R9: NaN and infinity from data, weights, rates, and each layer's way forward and back: found at
that step, in that layer, with exit 1, and the last good weights kept."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
import pytest

from cnnkit import Model, load_spec
from cnnkit.arrays import flatten
from cnnkit.base import Layer
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import DataError, TrainingError
from cnnkit.layers import Conv, Dense, Pool, Relu, Residual, Sigmoid, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.optimizers import Adam, Sgd
from cnnkit.runs.data import data_paths
from cnnkit.runs.session import Session

pytestmark = pytest.mark.reliability
X = np.random.default_rng(0).random((24, 1, 6, 6)).astype(np.float32)
Y = np.arange(24) % 3
VALUES = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


class Spoils(Layer):
    """The identity, until a step: then one value of one image becomes another."""

    type: Literal["spoils"] = "spoils"
    value: Literal["nan", "inf", "-inf"]
    phase: Literal["forward", "backward"]
    step: int

    def forward(self, x, w, ctx):
        bad = ctx.training and ctx.key[2] == self.step and ctx.key[3] == 0

        def spoil(array, wanted):
            array = array.copy()
            if bad and self.phase == wanted:
                array.reshape(len(array), -1)[1, 0] = VALUES[self.value]
            return array

        return spoil(x, "forward"), lambda dy: (spoil(dy, "backward"), {})


def stack(place: int, spoils: Layer) -> list[Any]:
    """Return a network with the layer at one of six places; its path comes with it."""
    layers: list[Any] = [
        Conv(filters=2, kernel=3, padding="same"), Relu(), Pool(), Dense(units=8), Sigmoid(),
    ]  # fmt: skip
    if place == 5:
        layers.insert(3, Residual(body=[Conv(filters=2, kernel=1), spoils, Relu()]))
        return [[*layers, Softmax(units=3)], "layer 4.2 (spoils of "]
    layers.insert(place + 1, spoils)
    return [[*layers, Softmax(units=3)], f"layer {place + 2} (spoils of "]


def failure(model: Model, **settings: Any) -> str:
    settings = {"optimizer": Sgd(lr=0.1), "batch": 8, "epochs": 2, "shard": 4, **settings}
    trainer = Trainer(model, CrossEntropy(), **settings)
    with pytest.raises(TrainingError) as caught:
        trainer.fit(X, Y)
    assert caught.value.exit_code == 1
    return str(caught.value)


def test_layers(cases):
    rows = [
        (place, value, phase, step)
        for place in range(6)
        for value in VALUES
        for phase in ("forward", "backward")
        for step in (0, 2)
    ]
    for place, value, phase, step in cases.of(rows, quick=12):
        layers, name = stack(place, Spoils(value=value, phase=phase, step=step))
        text = failure(Model.build(layers, (1, 6, 6)))
        turn = " in its backward pass" if phase == "backward" else ""
        assert name in text, text
        assert re.search(
            rf"not finite at epoch 1, step {step + 1}: .* is the first to give values that are not "
            rf"finite{turn} \(images? \d+", text,
        ), text  # fmt: skip


def test_weights(cases):
    for value in cases.of([(v, k) for v in VALUES.values() for k in range(4)], quick=4):
        model = Model.build([Dense(units=4), Relu(), Softmax(units=3)], (1, 6, 6))
        path = sorted(flatten(model.weights))[value[1]]
        flatten(model.weights)[path].flat[0] = value[0]
        assert f"weight {path} of layer " in failure(model)


def test_rates(cases):
    for optimizer in cases.of([Sgd(lr=1e38), Sgd(lr=1e30, momentum=0.9), Adam(lr=1e38)], quick=2):
        text = failure(
            Model.build([Dense(units=4), Softmax(units=3)], (1, 6, 6)), optimizer=optimizer
        )
        assert "has diverged" in text or "is the first to give values" in text


def test_data(cases, tmp_path):
    for name, value in cases.of(VALUES.items()):
        images = np.concatenate([X, X]).repeat(2, axis=0)
        images[17, 0, 1, 2] = value
        path = tmp_path / f"{name}.npz"
        labels = np.arange(len(images)) % 3
        np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
        spec = tmp_path / f"{name}.toml"
        spec.write_text(
            f'name = "bad"\n[data]\ntype = "npz"\npath = "{path.name}"\ntransforms = []\n[model]\n'
            'layers = [{ type = "softmax", units = 3 }]\n[loss]\ntype = "cross_entropy"\n'
            '[optimizer]\ntype = "sgd"\nlr = 0.1\n'
        )
        loaded = load_spec(spec)
        with pytest.raises(DataError, match=r"NaN or infinity|not finite") as caught:
            Session(loaded, data_paths(loaded), out=tmp_path / f"run-{name}")
        assert path.name in str(caught.value)
        assert not (tmp_path / f"run-{name}").exists()


def test_the_last_good_weights_are_kept(cases, tmp_path):
    for value in cases.of(VALUES, quick=1):
        spec = tmp_path / f"{value}.toml"
        spec.write_text(
            'name = "late"\n[data]\ntype = "digits"\n[model]\n'
            'layers = [{ type = "dense", units = 8 }, '
            f'{{ type = "late", value = "{value}" }}, {{ type = "softmax", units = 10 }}]\n[loss]\n'
            'type = "cross_entropy"\n[optimizer]\ntype = "sgd"\nlr = 0.1\n[train]\nepochs = 3\n'
        )
        loaded = load_spec(spec, types=[Late])
        out = tmp_path / f"run{value}"
        with (
            pytest.raises(TrainingError) as caught,
            Session(loaded, data_paths(loaded), out=out) as run,
        ):
            list(run.epochs())
        assert "at epoch 3, step 83: layer 2 (late of given in Python)" in str(caught.value)
        notes = caught.value.__notes__
        assert notes[0] == f"  --> {spec}:5:42"
        assert notes[-1] == f"   = note: {out} keeps the weights after epoch 2"
        Model.load(out / "checkpoints" / "last.safetensors", types=[Late])


class Late(Layer):
    """The identity, until the third epoch."""

    type: Literal["late"] = "late"
    value: Literal["nan", "inf", "-inf"]

    def forward(self, x, w, ctx):
        y = x.copy()
        if ctx.training and ctx.key[1] == 2:
            y.flat[0] = VALUES[self.value]
        return y, lambda dy: (dy.copy(), {})


def test_state_of_the_optimizer(cases):
    """Huge images and Adam: the loss stays finite and flat, while the squares overflow."""
    for size in cases.of([1e25, 1e30], quick=1):
        model = Model.build([Dense(units=4), Softmax(units=3)], (1, 6, 6))
        trainer = Trainer(model, CrossEntropy(), Adam(), batch=8, epochs=1)
        with pytest.raises(TrainingError) as caught:
            trainer.fit(X * np.float32(size), Y)
        assert "diverged" in str(caught.value) or "not finite" in str(caught.value)
