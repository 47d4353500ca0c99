"""Bugs in the gradient function that a loss returns."""

from __future__ import annotations

from typing import Literal

import numpy as np
from planted import planted_in
from planted_losses import Brier

from cnnkit.base import Loss
from cnnkit.layers import Softmax
from cnnkit.losses import CrossEntropy


@planted_in("losses", "loss_gradient_is_a_new_array")
class GivesOutputs(Loss):
    """Half the sum of y**2, whose gradient function returns y itself."""

    type: Literal["gives_outputs"] = "gives_outputs"

    def forward(self, y, labels):
        return np.square(y).sum(axis=1) / 2, lambda: y


@planted_in("losses", "loss_gradient_is_a_new_array")
class ReadOnly(Loss):
    """The sum of y, whose gradient is one number spread out: it cannot be scaled."""

    type: Literal["read_only"] = "read_only"

    def forward(self, y, labels):
        return y.sum(axis=1), lambda: np.broadcast_to(y.dtype.type(1), y.shape)


@planted_in("losses", "loss_gradient_is_a_new_array")
class FusedInPlace(CrossEntropy):
    """The fused loss gives a view of its logits."""

    type: Literal["fused_in_place"] = "fused_in_place"

    def fuse(self, head):
        return GivesOutputs() if isinstance(head, Softmax) else None


@planted_in("losses", "loss_gradient_repeats")
class OnceOnly(Brier):
    """The gradient is doubled in place with every call."""

    type: Literal["once_only"] = "once_only"

    def forward(self, y, labels):
        losses, gradient = super().forward(y, labels)
        dy = gradient() / 2
        return losses, lambda: np.multiply(dy, 2, out=dy).copy()


@planted_in("losses", "loss_gradient")
class ForgotTwo(Brier):
    """The gradient lacks its factor 2."""

    type: Literal["forgot_two"] = "forgot_two"

    def forward(self, y, labels):
        losses, gradient = super().forward(y, labels)
        return losses, lambda: gradient() / 2
