"""Probe: a configured layer with inputs, weights and contexts drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, Scratch, Shape, Weights, flatten, unflatten
from cnnkit.base import Backward, Context, Layer, Weight
from cnnkit.base.weight import declared
from cnnkit.base.weight import draw as draw_weights
from cnnkit.testing.check import require
from cnnkit.testing.tools import CLEAN


@dataclass(frozen=True, slots=True)
class Step:
    """What one forward and backward gave; `grads` is flat: `{path: array}`."""

    y: Array
    dx: Array
    grads: dict[str, Array]

    def arrays(self) -> dict[str, Array]:
        """Return every array by the name that messages use."""
        named = {f"the gradient of {path}": grad for path, grad in self.grads.items()}
        return {"y": self.y, "dx": self.dx, **named}


class Probe:
    """The layer that the engine would run, and what a check needs to run it.

    Weights sit a little off their initial values, so that zeros hide nothing. Equal arguments give
    equal arrays: every draw is a pure function of the seed and `draw`.
    """

    def __init__(self, layer: Layer, shape: Shape, seed: int = 0) -> None:
        self.layer = layer.lower()
        self.shape = shape
        self.seed = seed

    def rng(self, draw: int = 0) -> np.random.Generator:
        """Return generator number `draw`."""
        return np.random.default_rng([self.seed, draw])

    def x(self, N: int = 3, draw: int = 1, dtype: npt.DTypeLike = np.float64) -> Array:
        """Draw an input (N, *shape), standard normal."""
        return self.rng(draw).standard_normal((N, *self.shape)).astype(dtype)

    def dy(self, N: int = 3, draw: int = 2, dtype: npt.DTypeLike = np.float64) -> Array:
        """Draw a gradient of the output, standard normal."""
        shape = self.layer.output_shape(self.shape)
        return self.rng(draw).standard_normal((N, *shape)).astype(dtype)

    def initial(self, draw: int = 3) -> Weights:
        """Draw the layer's initial weights, float64."""
        return draw_weights(self.layer.weights(self.shape), self.rng(draw), np.float64)

    def declared(self) -> dict[str, Weight]:
        """Return the layer's weights by path."""
        return declared(self.layer.weights(self.shape))

    def weights(self, dtype: npt.DTypeLike = np.float64) -> Weights:
        """Return fresh weights near their initial values; those that do not learn keep theirs."""
        rng, initial = self.rng(4), flatten(self.initial())
        flat = {}
        for path, weight in self.declared().items():
            value = initial[path]
            moved = value + 0.05 * rng.standard_normal(value.shape) if weight.learns else value
            flat[path] = np.array(moved, dtype, order="C")
        return unflatten(flat)

    def context(
        self, training: bool = True, shard: int = 0, scratch: Scratch = CLEAN, wants_dx: bool = True
    ) -> Context:
        """Return the context of a shard."""
        return Context(training, wants_dx, scratch, (self.seed, 0, 0, shard), "0_layer")

    def forward(
        self, x: Array | None = None, w: Weights | None = None, ctx: Context | None = None
    ) -> tuple[Array, Backward]:
        """Run forward, and demand what every other check builds on: an array and a function.

        What is left out is drawn, for training.
        """
        __tracebackhide__ = True
        x = self.x() if x is None else x
        w = self.weights(x.dtype) if w is None else w
        result = self.layer.forward(x, w, ctx or self.context())
        ok = isinstance(result, tuple) and len(result) == 2
        require(
            ok and isinstance(result[0], np.ndarray) and callable(result[1]),
            "forward does not return (y, backward)",
            expected="an array and a function dy -> (dx, gradients)",
            got=_kinds(result),
            fix="end forward with `return y, backward`",
        )
        return result

    def backward(self, back: Backward, dy: Array) -> tuple[Array, dict[str, Array]]:
        """Run backward, and demand an array and a tree."""
        __tracebackhide__ = True
        result = back(dy)
        ok = isinstance(result, tuple) and len(result) == 2
        require(
            ok and isinstance(result[0], np.ndarray) and isinstance(result[1], dict),
            "backward does not return (dx, gradients)",
            expected="an array and a dict, empty for a layer without weights",
            got=_kinds(result),
            fix='end backward with `return dx, {"W": dW}`',
        )
        return result[0], flatten(result[1])

    def step(
        self,
        x: Array | None = None,
        dy: Array | None = None,
        w: Weights | None = None,
        ctx: Context | None = None,
    ) -> Step:
        """Run forward and backward once; what is left out is drawn, for training."""
        __tracebackhide__ = True
        x = self.x() if x is None else x
        y, back = self.forward(x, w, ctx)
        return Step(y, *self.backward(back, self.dy(len(x), dtype=x.dtype) if dy is None else dy))

    def is_random(self) -> bool:
        """Return whether any of some shards of equal data differs from the first in training."""
        x, w = self.x(5), self.weights()  # as many samples as any check compares
        first, *others = (self.forward(x, w, self.context(shard=k))[0] for k in range(8))
        return any(not np.array_equal(first, other) for other in others)


def _kinds(result: object) -> str:
    if isinstance(result, tuple):
        return f"({', '.join(type(item).__name__ for item in result)})"
    return type(result).__name__
