"""Bugs in a layer's numbers: its derivative, large inputs, and memory when it is done."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from planted import Gain, along, planted

from cnnkit.base import Layer, Weight
from cnnkit.layers import Relu


@planted("backward_is_linear", shape=(4,))
class AssumesItsLoss(Layer):
    """A softmax whose backward assumes cross-entropy."""

    type: Literal["assumes_its_loss"] = "assumes_its_loss"

    def forward(self, x, w, ctx):
        y = np.exp(x - x.max(axis=1, keepdims=True))
        y /= y.sum(axis=1, keepdims=True)
        return y, lambda dy: (y + dy, {})


@planted("backward_is_linear")
class ClipsCopy(Gain):
    """backward clips dy."""

    type: Literal["clips_copy"] = "clips_copy"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y, lambda dy: back(np.clip(dy, -1, 1))


@planted("input_gradient")
class WrongFactor(Gain):
    """dx is twice what it should be."""

    type: Literal["wrong_factor"] = "wrong_factor"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y, lambda dy: (2 * back(dy)[0], back(dy)[1])


@planted("input_gradient", shape=(2, 3, 3))
class Transposed(Gain):
    """dx has height and width exchanged."""

    type: Literal["transposed"] = "transposed"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y, lambda dy: (back(dy)[0].swapaxes(2, 3).copy(), back(dy)[1])


@planted("input_gradient")
class LeakyRelu(Relu):
    """A ReLU that lets every gradient through."""

    type: Literal["leaky_gradient"] = "leaky_gradient"

    def forward(self, x, w, ctx):
        return super().forward(x, w, ctx)[0], lambda dy: (dy, {})


@planted("input_gradient")
class Rounds(Layer):
    """Rounds, so that the true derivative is zero nearly everywhere."""

    type: Literal["rounds"] = "rounds"

    def forward(self, x, w, ctx):
        return np.round(x, 1), lambda dy: (dy, {})


@planted("extreme_input_stays_finite", shape=(4,))
class BareExp(Layer):
    """Softmax without subtracting the maximum."""

    type: Literal["bare_exp"] = "bare_exp"

    def forward(self, x, w, ctx):
        y = np.exp(x)
        y = y / y.sum(axis=1, keepdims=True)
        return y, lambda dy: (y * (dy - (dy * y).sum(axis=1, keepdims=True)), {})


@planted("probabilities_are_probabilities", shape=(4,))
class FalseClaim(Relu):
    """ReLU that declares its outputs to be probabilities."""

    type: Literal["false_claim"] = "false_claim"
    probabilities: ClassVar[bool] = True


@planted("weight_gradients")
class HalfGradient(Gain):
    """The gradient of g is half of what it should be."""

    type: Literal["half_gradient"] = "half_gradient"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)

        def backward(dy):
            dx, grads = back(dy)
            return dx, {**grads, "g": grads["g"] / 2}

        return y, backward


@planted("weight_gradients")
class WrongChannel(Gain):
    """The gradients of b come in reverse order of channels."""

    type: Literal["wrong_channel"] = "wrong_channel"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)

        def backward(dy):
            dx, grads = back(dy)
            return dx, {**grads, "b": grads["b"][::-1].copy()}

        return y, backward


@planted("input_gradient")
class TrainingOnly(Gain):
    """A factor that is forgotten in training."""

    type: Literal["training_only"] = "training_only"

    def forward(self, x, w, ctx):
        if not ctx.training:
            return super().forward(x, w, ctx)
        y, back = super().forward(x, w, ctx)
        g = along(w["g"], x)
        return y, lambda dy: (dy, back(dy)[1]) if g.size else (dy, {})


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
