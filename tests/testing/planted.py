"""A healthy layer, and the list that components with one planted bug are entered in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from cnnkit.base import Component, DataPaths, Layer, Weight
from cnnkit.initializers import Normal

SHAPE = (2, 3, 4)


class Gain(Layer):
    """Gain and shift per channel: y = g[c] * x + b[c]; (C, ...) -> (C, ...)."""

    type: Literal["gain"] = "gain"
    start: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Mean of the initial gains."""

    def weights(self, shape):
        return {
            "g": Weight(shape[:1], Normal(mean=self.start, std=0.1)),
            "b": Weight(shape[:1], 0.0, decays=False),
        }

    def forward(self, x, w, ctx):
        g, b = along(w["g"], x), along(w["b"], x)
        axes = (0, *range(2, x.ndim))

        def backward(dy):
            return dy * g, {"g": (dy * x).sum(axes), "b": dy.sum(axes)}

        return x * g + b, backward


def along(weight, x):
    """Give a weight (C,) the axes (C, 1, ...), so that it goes along x (N, C, ...)."""
    return weight.reshape(-1, *[1] * (x.ndim - 2))


@dataclass(frozen=True)
class Bug:
    """A component, the rest of its case, and the check that must name what is wrong with it."""

    component: Component
    case: tuple[Any, ...]
    check: str


PLANTED: dict[str, Bug] = {}  # by type: pytest's doctest collector imports these modules again


def planted(check, shape=SHAPE, **options):
    """Enter a class, whose docstring names its bug, with the check that must name it."""

    def keep(cls):
        case = {"layers": (shape,), "datasets": (DataPaths(),)}.get(cls.family, ())
        PLANTED[cls.type_name()] = Bug(cls(**options), case, check)
        return cls

    return keep
