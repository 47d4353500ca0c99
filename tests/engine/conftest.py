"""What the engine's tests share: small layers with tricks, and a spec around some layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from cnnkit.base import Layer, Split, Weight
from cnnkit.model import Model
from cnnkit.specfile.runspec import RunSpec


class Couple(Layer):
    """Samples meet here."""

    type: Literal["couple"] = "couple"
    couples_batch: ClassVar[bool] = True

    def forward(self, x, w, ctx):
        return x - x.mean(axis=0), lambda dy: (dy - dy.mean(axis=0), {})


class HalfFixed(Layer):
    """Scales by a weight, and holds another that does not learn."""

    type: Literal["half_fixed"] = "half_fixed"

    def weights(self, shape):
        return {"count": Weight((3,), 7.0, learns=False), "W": Weight((1,), 2.0)}

    def forward(self, x, w, ctx):
        return x * w["W"], lambda dy: (dy * w["W"], {"W": np.array([(dy * x).sum()])})


@pytest.fixture
def couple() -> type[Layer]:
    return Couple


@pytest.fixture
def half_fixed() -> type[Layer]:
    return HalfFixed


@pytest.fixture
def make_spec() -> Callable[..., RunSpec]:
    def make(layers: Any, dtype: str = "float64", **options: Any) -> RunSpec:
        tree = {
            "name": "test",
            "data": "digits",
            "loss": "cross_entropy",
            "optimizer": {"type": "sgd", "lr": 0.1},
            "metrics": ["accuracy"],
            **options,
        }
        return RunSpec.model_validate({**tree, "model": {"layers": layers, "dtype": dtype}})

    return make


@pytest.fixture
def make_model() -> Callable[..., Model]:
    def make(spec: RunSpec, shape: Any) -> Model:
        dtype = spec.model.dtype
        return Model.build(spec.model.layers, shape, dtype=dtype, classes=list("abcde"))

    return make


@pytest.fixture
def noise() -> Callable[..., Split]:
    def make(count: int, shape: Any = (2, 4, 4), classes: int = 5) -> Split:
        rng = np.random.default_rng(0)
        return Split(rng.standard_normal((count, *shape)), np.arange(count) % classes)

    return make
