"""Classes that no plugin offers, such as those of a notebook: trained, saved, loaded."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

import cnnkit
from cnnkit.base import Layer
from cnnkit.errors import PluginError, RunError
from cnnkit.layers import Dense

SPEC = """
name = "own"
[data]
type = "digits"
[model]
layers = ["cube", { type = "softmax", units = 10 }]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 1
"""


class Cube(Layer):
    """x * x * x: shape -> shape."""

    type: Literal["cube"] = "cube"

    def forward(self, x, w, ctx):
        return x**3, lambda dy: (3 * x * x * dy, {})


class Relu(Layer):
    """Another one than cnnkit's."""

    type: Literal["relu"] = "relu"

    def forward(self, x, w, ctx):
        return x.copy(), lambda dy: (dy.copy(), {})


def test_a_layer_that_nobody_offers_is_not_saved(tmp_path):
    model = cnnkit.Model.build([Cube(), Dense(units=3)], (4,))
    with pytest.raises(PluginError) as caught:
        model.save(tmp_path / "m.safetensors")
    assert str(caught.value) == (
        f"cube of module {__name__} could not be found again: no plugin offers it; pass "
        "types=[Cube], here and when it is loaded, or make a plugin of it"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_layer_whose_type_is_somebody_elses_is_not_saved(tmp_path):
    with pytest.raises(PluginError) as caught:
        cnnkit.Model.build([Relu(), Dense(units=3)], (4,)).save(tmp_path / "m.safetensors")
    assert f"cnnkit {cnnkit.__version__} offers another class" in str(caught.value)


def test_given_types_are_saved_and_loaded(tmp_path):
    path, x = tmp_path / "m.safetensors", np.ones((2, 4), np.float32)
    for cls in (Cube, Relu):
        model = cnnkit.Model.build([cls(), Dense(units=3)], (4,))
        model.save(path, types=[cls])
        again = cnnkit.Model.load(path, types=[cls])
        assert type(again.layers[0]) is cls
        assert np.array_equal(again.predict(x), model.predict(x))
        with pytest.raises(RunError) as caught:
            cnnkit.Model.load(path)
        assert str(caught.value) == (
            f"{path}: cannot rebuild the model: layer type '{cls.type_name()}' came from given in "
            "Python, as a class of your own: pass it in types=[...], or name its file with --plugin"
        )


def test_given_types_are_trained(tmp_path):
    (tmp_path / "own.toml").write_text(SPEC)
    spec = cnnkit.load_spec(tmp_path / "own.toml", types=[Cube])
    run = cnnkit.train(spec, out=tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.safetensors"
    again = cnnkit.Model.load(last, types=[Cube])
    x = np.zeros((1, 1, 8, 8), np.uint8)
    assert np.array_equal(again.predict(x), run.model.predict(x))
