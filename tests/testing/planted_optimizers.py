"""Bugs in optimizers."""

from __future__ import annotations

import itertools
from typing import ClassVar, Literal

import numpy as np
from planted import planted

from cnnkit.optimizers import Sgd


@planted("state_is_shaped_like_weights", lr=0.1, momentum=0.9)
class ScalarState(Sgd):
    """One velocity for all weights."""

    type: Literal["scalar_state"] = "scalar_state"

    def init_state(self, weights):
        return {"velocity": {path: np.zeros(1, W.dtype) for path, W in weights.items()}}


@planted("updates_in_place", lr=0.1)
class Rebinds(Sgd):
    """weights[path] = a new array: the model never sees it."""

    type: Literal["rebinds"] = "rebinds"

    def update(self, weights, grads, state, lr, step):
        for path, grad in grads.items():
            weights[path] = weights[path] - lr * grad


@planted("only_graded_weights_move", lr=0.1)
class DecaysAll(Sgd):
    """Weight decay on weights that do not learn, too."""

    type: Literal["decays_all"] = "decays_all"

    def update(self, weights, grads, state, lr, step):
        super().update(weights, grads, state, lr, step)
        for W in weights.values():
            W *= W.dtype.type(1 - lr)


@planted("rate_zero_moves_nothing", lr=0.1)
class OwnRate(Sgd):
    """self.lr instead of the lr of the schedule."""

    type: Literal["own_rate"] = "own_rate"

    def update(self, weights, grads, state, lr, step):
        super().update(weights, grads, state, self.lr, step)


_STEPS = itertools.count()


@planted("resumed_equals_uninterrupted", lr=0.1)
class CountsItself(Sgd):
    """Counts steps in the module instead of reading `step`."""

    type: Literal["counts_itself"] = "counts_itself"

    def update(self, weights, grads, state, lr, step):
        super().update(weights, grads, state, lr / (1 + next(_STEPS)), step)


@planted("slices_equal_whole", lr=0.1)
class WholeNorm(Sgd):
    """Divides by the norm of the whole array, but declares `elementwise`."""

    type: Literal["whole_norm"] = "whole_norm"

    def update(self, weights, grads, state, lr, step):
        grads = {path: grad / (1e-6 + np.linalg.norm(grad)) for path, grad in grads.items()}
        super().update(weights, grads, state, lr, step)


@planted("gradients_are_not_kept", lr=0.1)
class KeepsGradients(Sgd):
    """Keeps the engine's gradients for the next step, not copies of them."""

    type: Literal["keeps_gradients"] = "keeps_gradients"
    elementwise: ClassVar[bool] = False

    def init_state(self, weights):
        return {"last": {path: np.zeros_like(W) for path, W in weights.items()}}

    def update(self, weights, grads, state, lr, step):
        for path, grad in grads.items():
            weights[path] -= lr * (1.5 * grad - 0.5 * state["last"][path]).astype(grad.dtype)
            state["last"][path] = grad


@planted("steps_go_downhill", lr=0.1)
class Uphill(Sgd):
    """Adds the gradient instead of subtracting it."""

    type: Literal["uphill"] = "uphill"

    def update(self, weights, grads, state, lr, step):
        super().update(weights, {path: -grad for path, grad in grads.items()}, state, lr, step)


@planted("steps_go_downhill", lr=0.1)
class BiasUphill(Uphill):
    """Goes uphill with vectors only, and downhill with the rest."""

    type: Literal["bias_uphill"] = "bias_uphill"

    def update(self, weights, grads, state, lr, step):
        turned = {path: grad if grad.ndim == 1 else -grad for path, grad in grads.items()}
        super().update(weights, turned, state, lr, step)


@planted("stays_finite", lr=0.1)
class BareNorm(Sgd):
    """Divides by a norm that may be zero."""

    type: Literal["bare_norm"] = "bare_norm"
    elementwise: ClassVar[bool] = False

    def update(self, weights, grads, state, lr, step):
        grads = {path: grad / np.linalg.norm(grad) for path, grad in grads.items()}
        super().update(weights, grads, state, lr, step)
