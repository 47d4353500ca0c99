"""Cross-entropy between a distribution over classes and the label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import FRESH, Array, Shape
from cnnkit.base import Layer, Loss
from cnnkit.errors import ShapeError
from cnnkit.kernels.softmax import softmax_cross_entropy
from cnnkit.layers.sigmoid import Sigmoid
from cnnkit.layers.softmax import Softmax
from cnnkit.losses._targets import check_outputs, targets

Smoothing = Annotated[float, Field(ge=0, lt=1)]


class CrossEntropy(Loss):
    """Minus the log of the probability given to the label; y (N, K) are probabilities.

    loss = -sum over k of t_k * log(y_k), with t = (1 - s) * onehot(label) + s / K for label
    smoothing s; dy = -t / y. Fuses with softmax, and then stays finite for any logits.

    Source: Szegedy et al., Rethinking the Inception Architecture (2016), section 7 (smoothing).
    """

    type: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Smoothing = 0.0
    """Share of the target that is spread evenly over all classes."""

    def check(self, head: Layer, shape: Shape, classes: int) -> None:
        if isinstance(head, Sigmoid) and shape in ((classes,), (1,) * (classes == 2)):
            raise ShapeError(
                "does not give probabilities that sum to 1, which cross_entropy needs",
                expected="a head such as softmax",
                help='use loss type "binary_cross_entropy", or end the network with '
                f'{{ type = "softmax", units = {classes} }}',
            )
        check_outputs(self.type, head, shape, classes, single=False)
        if not head.probabilities:
            raise ShapeError(
                "does not give probabilities, which cross_entropy needs",
                expected="a head whose outputs are >= 0 and sum to 1, such as softmax",
                help='end the network with "softmax", or use loss type "mean_squared_error"',
            )

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        wanted = targets(labels, y) * (1 - self.label_smoothing)
        wanted += self.label_smoothing / y.shape[1]
        # A probability that underflowed counts as the smallest normal number: its log and
        # 1 / y stay finite, and the gradient still points up.
        safe = np.maximum(y, np.finfo(y.dtype).tiny)
        return -(wanted * np.log(safe)).sum(axis=1), lambda: -wanted / safe

    def fuse(self, head: Layer) -> Loss | None:
        if isinstance(head, Softmax) and head.units is None:
            return _SoftmaxCrossEntropy(label_smoothing=self.label_smoothing)
        return None


class _SoftmaxCrossEntropy(Loss):
    """Softmax and cross-entropy in one; y (N, K) are logits, finite however large."""

    type: Literal["softmax_cross_entropy"] = "softmax_cross_entropy"
    label_smoothing: Smoothing = 0.0
    """As in cross_entropy."""

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        losses, dy = softmax_cross_entropy(y, labels, FRESH)
        if self.label_smoothing:
            # Only the term -sum(t * z) knows the target, so smoothing shifts it and its slope.
            rows, share = np.arange(len(labels)), self.label_smoothing
            losses += share * (y[rows, labels] - y.mean(axis=1))
            dy -= share / y.shape[1]
            dy[rows, labels] += share
        return losses, lambda: dy
