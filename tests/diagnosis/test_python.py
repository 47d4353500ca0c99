"""Options given in Python are refused in the words of specs, and all mistakes at once."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from pydantic import ValidationError, model_validator

import cnnkit
from cnnkit.base import Layer
from cnnkit.datasets import Digits
from cnnkit.layers import Conv, Dense, Relu, Residual, Sequential
from cnnkit.model import Model
from cnnkit.optimizers import Sgd


class Halves(Layer):
    """A plugin's layer with validators of its own."""

    type: Literal["halves"] = "halves"
    width: int = 2
    """An even number."""
    kernel: int = 1
    """Of a conv that only its validator makes."""

    @model_validator(mode="after")
    def _even(self) -> Halves:
        if self.width % 2:
            raise ValueError(f"width must be even, got width = {self.width}")
        Conv(filters=1, kernel=self.kernel)  # type: ignore[arg-type]  # one side
        return self

    def forward(self, x: Any, w: Any, ctx: Any) -> Any:
        return x, lambda dy: (dy, {})


TEXTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "unknown option": (
        Conv,
        {"filters": 4, "kernal": 3},
        """\
error: conv: unknown option "kernal"
  = note: did you mean "kernel"?
  = help: conv takes filters, kernel, stride, padding, dilation, groups, bias, init, bias_init""",
    ),
    "synonym": (
        Sgd,
        {"learning_rate": 0.1},
        """\
error: sgd: unknown option "learning_rate"
  = note: did you mean "lr"?
  = help: sgd takes lr, schedule, clip, clip_value, accumulate, momentum, nesterov, weight_decay""",
    ),
    "wrong type": (
        Dense,
        {"units": "64"},
        """\
error: dense: units must be a whole number, got "64"
  = note: write 64""",
    ),
    "out of range": (
        Conv,
        {"filters": 0, "kernel": [3, -1], "bias": True},
        """\
error: conv: filters must be > 0, got 0

error: conv: kernel must be > 0, got -1

error: conv: bias must be "tied", "untied" or "none", got true
  = note: write "tied\"""",
    ),
    "missing": (
        Dense,
        {},
        """\
error: dense: the option "units" is missing
  = help: add units = ... (Number of outputs)""",
    ),
    "unknown type in a nested list": (
        Sequential,
        {
            "layers": [
                Relu(),
                {"type": "residual", "body": ["rleu"], "shortcut": [{"type": "dens"}]},
            ]
        },
        """\
error: sequential > layer 2 (residual) > layer 1 (rleu): unknown layer type "rleu"
  = note: did you mean "relu"?
  = help: cnnkit's own layers: (all); what a plugin offers is given as an object

error: sequential > layer 2 (residual) > shortcut layer 1 (dens): unknown layer type "dens"
  = note: did you mean "dense"?
  = help: cnnkit's own layers: (all); what a plugin offers is given as an object

error: sequential > layer 2 (residual) > shortcut layer 1 (dense): the option "units" is missing
  = help: add units = ... (Number of outputs)""",
    ),
    "no type": (
        Residual,
        {"body": [{"units": 3}], "shortcut": [3]},
        """\
error: residual > layer 1: the type is missing
  = help: add type = "..."; `cnnkit layers` lists the types

error: residual > shortcut layer 1 must be a table with a type, or a type's name, got 3
  = help: such as { type = "relu" } or "relu"; a chain within a chain is { type = "sequential", \
layers = [...] }""",
    ),
    "another family": (
        Digits,
        {"transforms": [{"type": "scale", "hi": 1.0}], "validation": 2},
        """\
error: digits: validation must be < 1, got 2

error: digits transform 1 (scale): unknown option "hi"
  = help: scale takes low, high, range""",
    ),
    "a plugin's validator": (
        Halves,
        {"width": 3},
        "error: halves: width must be even, got width = 3",
    ),
    "what a plugin's validator makes": (
        Halves,
        {"kernel": 0},
        "error: halves: conv: kernel must be > 0, got 0",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_text(name):
    cls, options, text = TEXTS[name]
    with pytest.raises(cnnkit.OptionError) as caught:
        cls(**options)
    own = ", ".join(sorted(layer.type_name() for layer in _own_layers()))
    assert str(caught.value).replace(f"own layers: {own};", "own layers: (all);") == text
    assert len(caught.value.problems) == text.count("error: ")
    assert isinstance(caught.value, ValueError)
    assert caught.value.__suppress_context__  # pydantic's words are not shown beside ours


def _own_layers():
    from cnnkit.layers import cnnkit_layers

    return cnnkit_layers()


def test_a_model_of_names_and_tables():
    with pytest.raises(cnnkit.OptionError, match=r"layer 2 \(dense\): unknown option \"unit\""):
        Model.build(["flatten", {"type": "dense", "unit": 3}], (1, 8, 8))  # type: ignore[list-item]


def test_pydantic_validates_as_before():
    """A child's error belongs to its parent's, and what has a registry keeps it."""
    with pytest.raises(ValidationError) as caught:
        Sequential.model_validate({"layers": [{"type": "conv", "filter": 3, "kernel": 3}]})
    assert [error["loc"] for error in caught.value.errors()] == [
        ("layers", 0, "filters"),
        ("layers", 0, "filter"),
    ]
    assert Sequential.__pydantic_custom_init__ is False


def test_options_that_cannot_be_copied():
    with pytest.raises(cnnkit.OptionError, match="dense: units must be a whole number, got <"):
        Dense(units=(number for number in ()))  # type: ignore[arg-type]
    with pytest.raises(cnnkit.OptionError, match="must be an array"):
        Sequential(layers=np.zeros(3))  # type: ignore[arg-type]


def test_every_error_is_exported():
    from cnnkit import errors

    assert set(errors.__all__) <= set(cnnkit.__all__)
    for name in errors.__all__:
        assert getattr(cnnkit, name) is getattr(errors, name)
        assert issubclass(getattr(cnnkit, name), cnnkit.CnnkitError)
