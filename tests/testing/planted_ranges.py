"""Bugs in the arithmetic that show for larger inputs only, or in training only."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from planted import Gain, along, planted

from cnnkit.base import Layer, Weight


@planted("input_gradient")
class ForgetsTheBound(Layer):
    """ReLU6 whose backward knows of 0 and not of 6."""

    type: Literal["forgets_the_bound"] = "forgets_the_bound"

    def forward(self, x, w, ctx):
        return np.clip(x, 0, 6), lambda dy: (dy * (x > 0), {})


@planted("weight_gradients")
class BoundNeverLearns(Gain):
    """A learned upper bound that starts at 6, and whose gradient is zero."""

    type: Literal["bound_never_learns"] = "bound_never_learns"

    def weights(self, shape):
        return {"g": Weight(shape[:1], 6.0)}

    def forward(self, x, w, ctx):
        bound = along(w["g"], x)
        return np.minimum(x, bound), lambda dy: (dy * (x < bound), {"g": np.zeros_like(w["g"])})


@planted("probabilities_are_probabilities", shape=(4,))
class TwiceInTraining(Layer):
    """A softmax whose rows sum to 2 in training."""

    type: Literal["twice_in_training"] = "twice_in_training"
    probabilities: ClassVar[bool] = True

    def forward(self, x, w, ctx):
        y = np.exp(x - x.max(axis=-1, keepdims=True))
        y /= y.sum(axis=-1, keepdims=True)
        factor = x.dtype.type(2 if ctx.training else 1)

        def backward(dy):
            return factor * y * (dy - (dy * y).sum(axis=-1, keepdims=True)), {}

        return factor * y, backward
