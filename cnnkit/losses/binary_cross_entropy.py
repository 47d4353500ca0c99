"""Binary cross-entropy: every output is its own yes-or-no question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from cnnkit.arrays import FRESH, Array, Shape
from cnnkit.base import Layer, Loss
from cnnkit.errors import ShapeError
from cnnkit.kernels.sigmoid import sigmoid_binary_cross_entropy
from cnnkit.layers.sigmoid import Sigmoid
from cnnkit.losses._targets import check_outputs, targets


class BinaryCrossEntropy(Loss):
    """Mean over K of -(t * log(y) + (1 - t) * log(1 - y)); y (N, K) lies in [0, 1].

    With two classes y may be (N, 1), the probability of class 1, and t is the label; else y is
    (N, classes) and t is one-hot. dy = (y - t) / (y * (1 - y)) / K. Fuses with sigmoid, and then
    stays finite for any logits.
    """

    type: Literal["binary_cross_entropy"] = "binary_cross_entropy"

    def check(self, head: Layer, shape: Shape, classes: int) -> None:
        check_outputs(self.type, head, shape, classes, single=True)
        if shape == (1,) and head.probabilities:
            raise ShapeError(
                "gives one probability, which is 1 whatever the image",
                expected="an output that can lie anywhere in [0, 1], such as sigmoid's",
                help='end the network with { type = "sigmoid", units = 1 }',
            )
        if not (isinstance(head, Sigmoid) or head.probabilities):
            raise ShapeError(
                "does not give probabilities, which binary_cross_entropy needs",
                expected="a head whose outputs lie in [0, 1], such as sigmoid",
                help='end the network with "sigmoid", or use loss type "mean_squared_error"',
            )

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        wanted = targets(labels, y)
        # An output that saturated counts as the smallest normal number away from 0 or 1.
        tiny = np.finfo(y.dtype).tiny
        yes, no = np.maximum(y, tiny), np.maximum(1 - y, tiny)
        losses = -(wanted * np.log(yes) + (1 - wanted) * np.log(no)).mean(axis=1)
        return losses, lambda: ((1 - wanted) / no - wanted / yes) / y.shape[1]

    def fuse(self, head: Layer) -> Loss | None:
        if isinstance(head, Sigmoid) and head.units is None:
            return _SigmoidBinaryCrossEntropy()
        return None


class _SigmoidBinaryCrossEntropy(Loss):
    """Sigmoid and binary cross-entropy in one; y (N, K) are logits, finite however large."""

    type: Literal["sigmoid_binary_cross_entropy"] = "sigmoid_binary_cross_entropy"

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        losses, dy = sigmoid_binary_cross_entropy(y, targets(labels, y), FRESH)
        return losses, lambda: dy
