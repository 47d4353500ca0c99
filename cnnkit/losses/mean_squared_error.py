"""Mean squared error against the one-hot label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Layer, Loss
from cnnkit.losses._targets import check_outputs, targets


class MeanSquaredError(Loss):
    """Mean over K of (y - t)**2, after any head; dy = 2 * (y - t) / K.

    t is the one-hot label for y (N, classes), or the label itself for y (N, 1) with two classes.
    """

    type: Literal["mean_squared_error"] = "mean_squared_error"

    def check(self, head: Layer, shape: Shape, classes: int) -> None:
        check_outputs(self.type, head, shape, classes, single=True)

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        error = y - targets(labels, y)
        return np.square(error).mean(axis=1), lambda: error * (2 / y.shape[1])
