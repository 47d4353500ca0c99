"""Bugs in initial weights and in the tree of gradients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, ClassVar, Literal

import numpy as np
from planted import Gain, planted

from cnnkit.base import Initializer, Weight


@planted("weights_are_plain")
class Slashed(Gain):
    """A weight name with a slash."""

    type: Literal["slashed"] = "slashed"

    def weights(self, shape):
        return {"g/x": Weight(shape[:1], 0.0)}


@planted("weights_are_plain")
class Arrays(Gain):
    """Arrays where they should be declared."""

    type: Literal["arrays"] = "arrays"

    def weights(self, shape):
        return {"g": np.ones(shape[0]), "b": np.zeros(shape[0])}


@planted("weights_are_plain")
class Listed(Gain):
    """A shape that is a list."""

    type: Literal["listed"] = "listed"

    def weights(self, shape):
        return {**super().weights(shape), "g": Weight([shape[0]], 1.0)}


@planted("weights_are_plain")
class ByName(Gain):
    """The name of an initializer where it should be itself."""

    type: Literal["by_name"] = "by_name"

    def weights(self, shape):
        return {**super().weights(shape), "g": Weight(shape[:1], "normal")}


class Drawing(Initializer):
    """An initializer that does as a function says."""

    type: Literal["drawing"] = "drawing"
    function: Any

    def draw(self, shape, fans, rng):
        return self.function(shape)


@planted("weights_are_plain")
class Infinite(Gain):
    """The logarithm of zeros."""

    type: Literal["infinite"] = "infinite"

    def weights(self, shape):
        log = Drawing(function=lambda shape: np.log(np.zeros(shape)))
        return {**super().weights(shape), "g": Weight(shape[:1], log)}


UNSEEDED = np.random.default_rng().standard_normal


@planted("same_rng_same_weights")
class OwnRng(Gain):
    """Initial weights from an unseeded generator."""

    type: Literal["own_rng"] = "own_rng"

    def weights(self, shape):
        return {**super().weights(shape), "g": Weight(shape[:1], Drawing(function=UNSEEDED))}


@planted("same_rng_same_weights")
class Counting(Gain):
    """The array's start depends on how often it was declared."""

    type: Literal["counting"] = "counting"
    calls: ClassVar[Iterator[int]] = count()

    def weights(self, shape):
        return {**super().weights(shape), "g": Weight(shape[:1], next(self.calls))}


def seeded(shape):
    return np.random.default_rng(0).standard_normal(shape)


@planted("other_rng_other_weights", shape=(5,))
class FixedSeed(Gain):
    """Initial weights from a generator with a fixed seed."""

    type: Literal["fixed_seed"] = "fixed_seed"

    def weights(self, shape):
        fixed = Drawing(function=seeded)
        return {**super().weights(shape), "g": Weight(shape[:1], fixed)}


@planted("weights_round_trip")
class Ordered(Gain):
    """Weights are taken by their order, which a file does not keep."""

    type: Literal["ordered"] = "ordered"

    def forward(self, x, w, ctx):
        g, b = w.values()
        return super().forward(x, {"g": g, "b": b}, ctx)


@planted("every_weight_has_gradient")
class MissingGradient(Gain):
    """No gradient for b: it never learns."""

    type: Literal["missing_gradient"] = "missing_gradient"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)

        def backward(dy):
            dx, grads = back(dy)
            return dx, {"g": grads["g"]}

        return y, backward


@planted("no_other_gradients")
class MovesFixed(Gain):
    """A gradient for a weight that is declared not to learn."""

    type: Literal["moves_fixed"] = "moves_fixed"

    def weights(self, shape):
        return {**super().weights(shape), "b": Weight(shape[:1], 0.0, learns=False)}


@planted("gradients_shaped_like_weights")
class PerSample(Gain):
    """The gradient of b keeps the batch axis."""

    type: Literal["per_sample"] = "per_sample"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)

        def backward(dy):
            dx, grads = back(dy)
            return dx, {**grads, "b": dy.sum(tuple(range(2, x.ndim)))}

        return y, backward


@planted("gradients_own_their_memory", shape=(5,))
class ViewGradient(Gain):
    """For one sample, the gradient of b is a view of dy."""

    type: Literal["view_gradient"] = "view_gradient"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)

        def backward(dy):
            dx, grads = back(dy)
            return dx, {**grads, "b": dy[0]} if len(dy) == 1 else grads

        return y, backward


@planted("wants_dx_changes_no_gradient")
class FirstLayerStops(Gain):
    """Where dx is not wanted, the weights get zeros too."""

    type: Literal["first_layer_stops"] = "first_layer_stops"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y, lambda dy: back(dy if ctx.wants_dx else dy * 0)
