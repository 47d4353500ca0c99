"""Bugs in losses."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from planted import planted

from cnnkit.base import Loss
from cnnkit.errors import ShapeError
from cnnkit.layers import Softmax
from cnnkit.losses import CrossEntropy


class Brier(Loss):
    """Sum over K of (y - onehot)**2."""

    type: Literal["brier"] = "brier"

    def forward(self, y, labels):
        error = y - np.eye(y.shape[1], dtype=y.dtype)[labels]
        return np.square(error).sum(axis=1), lambda: 2 * error


@planted("loss_inputs_unmodified")
class InPlaceLoss(Brier):
    """y -= target."""

    type: Literal["in_place_loss"] = "in_place_loss"

    def forward(self, y, labels):
        result = super().forward(y.copy(), labels)
        y[np.arange(len(y)), labels] -= 1
        return result


@planted("loss_per_sample")
class MeanLoss(Brier):
    """One number for the whole batch."""

    type: Literal["mean_loss"] = "mean_loss"

    def forward(self, y, labels):
        losses, gradient = super().forward(y, labels)
        return losses.mean(), gradient


@planted("loss_takes_any_labels")
class WrapsLabels(Brier):
    """2 * label - 1 in the labels' own width: -1 becomes 255."""

    type: Literal["wraps_labels"] = "wraps_labels"

    def forward(self, y, labels):
        error = y - (2 * labels - 1).astype(y.dtype)[:, None]
        return np.square(error).sum(axis=1), lambda: 2 * error


@planted("unfit_heads_get_shape_error")
class UnpacksShape(Brier):
    """check unpacks a shape that may have more axes than one."""

    type: Literal["unpacks_shape"] = "unpacks_shape"

    def check(self, head, shape, classes):
        (outputs,) = shape
        if outputs != classes:
            raise ShapeError("gives another number of outputs than there are classes")


@planted("loss_non_contiguous")
class StridedLoss(Brier):
    """y is read as if it were C-contiguous."""

    type: Literal["strided_loss"] = "strided_loss"

    def forward(self, y, labels):
        return super().forward(as_strided(y, strides=np.empty_like(y, order="C").strides), labels)


@planted("loss_of_singles")
class AveragedLoss(Brier):
    """Losses are divided by the batch size, which the engine does already."""

    type: Literal["averaged_loss"] = "averaged_loss"

    def forward(self, y, labels):
        losses, gradient = super().forward(y, labels)
        return losses / len(y), lambda: gradient() / len(y)


_LAST: dict = {}


@planted("loss_reentrant")
class CachedLoss(Brier):
    """The gradient reads a dict in the module."""

    type: Literal["cached_loss"] = "cached_loss"

    def forward(self, y, labels):
        losses, _LAST["gradient"] = super().forward(y, labels)
        return losses, lambda: _LAST["gradient"]()


@planted("fused_equals_unfused")
class WrongFusion(CrossEntropy):
    """The fused loss forgets label smoothing."""

    type: Literal["wrong_fusion"] = "wrong_fusion"
    label_smoothing: Literal[0.1] = 0.1
    """As in cross_entropy."""

    def fuse(self, head):
        return CrossEntropy().fuse(head)


class _Naive(Loss):
    type: Literal["naive"] = "naive"

    def forward(self, y, labels):
        p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
        target = np.eye(y.shape[1], dtype=y.dtype)[labels]
        return -np.log(p[np.arange(len(y)), labels]), lambda: p - target


@planted("fused_stays_finite")
class NaiveFusion(CrossEntropy):
    """The fused loss overflows, as if it were not fused."""

    type: Literal["naive_fusion"] = "naive_fusion"

    def fuse(self, head):
        return _Naive() if isinstance(head, Softmax) else None


@planted("loss_gradient_is_a_new_array")
class GivesOutputs(Loss):
    """Half the sum of y**2, whose gradient function returns y itself."""

    type: Literal["gives_outputs"] = "gives_outputs"

    def forward(self, y, labels):
        return np.square(y).sum(axis=1) / 2, lambda: y


@planted("loss_gradient_is_a_new_array")
class ReadOnly(Loss):
    """The sum of y, whose gradient is one number spread out: it cannot be scaled."""

    type: Literal["read_only"] = "read_only"

    def forward(self, y, labels):
        return y.sum(axis=1), lambda: np.broadcast_to(y.dtype.type(1), y.shape)


@planted("loss_gradient_is_a_new_array")
class FusedInPlace(CrossEntropy):
    """The fused loss gives a view of its logits."""

    type: Literal["fused_in_place"] = "fused_in_place"

    def fuse(self, head):
        return GivesOutputs() if isinstance(head, Softmax) else None


@planted("loss_gradient_repeats")
class OnceOnly(Brier):
    """The gradient is doubled in place with every call."""

    type: Literal["once_only"] = "once_only"

    def forward(self, y, labels):
        losses, gradient = super().forward(y, labels)
        dy = gradient() / 2
        return losses, lambda: np.multiply(dy, 2, out=dy).copy()


@planted("loss_gradient")
class ForgotTwo(Brier):
    """The gradient lacks its factor 2."""

    type: Literal["forgot_two"] = "forgot_two"

    def forward(self, y, labels):
        losses, gradient = super().forward(y, labels)
        return losses, lambda: gradient() / 2


@planted("loss_takes_soft_targets")
class Hardens(Brier):
    """Says that it takes targets, and takes the largest for the label."""

    type: Literal["hardens"] = "hardens"
    soft: ClassVar[bool] = True

    def forward(self, y, labels):
        return super().forward(y, labels.argmax(axis=1) if labels.ndim == 2 else labels)
