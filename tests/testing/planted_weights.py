"""Bugs in initial weights and in the tree of gradients."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from planted import Gain, planted


@planted("weights_are_plain")
class Slashed(Gain):
    """A weight name with a slash."""

    type: Literal["slashed"] = "slashed"

    def init_weights(self, shape, rng):
        return {"g/x": np.zeros(shape[0])}


@planted("weights_are_plain")
class Whole(Gain):
    """Initial weights of integers."""

    type: Literal["whole"] = "whole"

    def init_weights(self, shape, rng):
        return {"g": np.full(shape[0], 1), "b": np.zeros(shape[0])}


@planted("same_rng_same_weights")
class OwnRng(Gain):
    """Initial weights from an unseeded generator."""

    type: Literal["own_rng"] = "own_rng"

    def init_weights(self, shape, rng):
        return super().init_weights(shape, np.random.default_rng())


@planted("other_rng_other_weights", shape=(5,))
class FixedSeed(Gain):
    """Initial weights from a generator with a fixed seed."""

    type: Literal["fixed_seed"] = "fixed_seed"

    def init_weights(self, shape, rng):
        return super().init_weights(shape, np.random.default_rng(0))


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
class MovesBuffer(Gain):
    """A gradient for a buffer."""

    type: Literal["moves_buffer"] = "moves_buffer"
    buffers: ClassVar[frozenset[str]] = frozenset({"b"})


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
