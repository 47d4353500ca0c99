"""Callbacks of plugins: who is blamed, what is remembered of them, and what is refused."""

from __future__ import annotations

import json

import pytest

import cnnkit
from cnnkit.errors import SpecError, TrainingError
from cnnkit.plugins import load_plugins

SHRINK = """
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Callback

class Shrink(Callback):
    type: Literal["shrink"] = "shrink"
    by: float = 0.99

    def step(self, training, state):
        if self.by < 0:
            raise ArithmeticError("by must not be negative")
        training.vector *= self.by

@hookimpl
def cnnkit_callbacks():
    return [Shrink]
"""
SPEC = ['train.callbacks=[{ type = "shrink", by = 0.9 }]']


def test_it_trains_and_is_remembered_with_its_distribution(site, write_spec, tmp_path):
    site.install("cnnkit-shrink", SHRINK, version="2.1")
    run = cnnkit.train(cnnkit.load_spec(write_spec(), set=SPEC), out=tmp_path / "run")
    made_with = json.loads((run.path / "env.json").read_text())["plugins"]
    assert made_with["callbacks/cnnkit-shrink:shrink"] == "cnnkit-shrink 2.1"
    assert 'type = "cnnkit-shrink:shrink"' in (run.path / "resolved.toml").read_text()


def test_one_that_raises_is_named_with_its_distribution(site, write_spec, tmp_path):
    site.install("cnnkit-shrink", SHRINK, version="2.1")
    spec = cnnkit.load_spec(write_spec(), set=[SPEC[0].replace("0.9", "-1.0")])
    with pytest.raises(TrainingError) as caught:
        cnnkit.train(spec, out=tmp_path / "run")
    assert str(caught.value) == (
        "plugin cnnkit-shrink 2.1 raised ArithmeticError at step 1: by must not be negative. "
        "This is a fault of the plugin, not of the spec"
    )


def test_a_missing_callback_is_named(site, write_spec):
    with pytest.raises(SpecError) as caught:
        cnnkit.load_spec(write_spec(), set=SPEC)
    first, *_, last = str(caught.value).splitlines()
    assert first == 'error: [train] callback 1 (shrink): unknown callback type "shrink"'
    assert last == (
        "  = help: installed callbacks: early_stopping, ema, plateau, stop_after, swa; "
        "a file of your own is named with --plugin"
    )


def test_a_plugin_whose_callback_is_never_called(site):
    site.install("cnnkit-shrink", SHRINK.replace("def step", "def on_step"))
    (broken,) = load_plugins().broken()
    assert broken.error == "TypeError: Shrink is never called: define step, done or epoch"
