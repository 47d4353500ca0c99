"""Metric: judges predictions on a whole split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base.component import Component


class Metric(Component, ABC):
    """A figure (or a list of lists) from all outputs and labels of a split."""

    family: ClassVar[str] = "metrics"
    better: ClassVar[Literal["higher", "lower"] | None] = None
    """Which of two figures is the better one, where they are numbers: `[train] best` may name the
    metric then. None where they cannot be compared, as tables cannot."""

    @abstractmethod
    def evaluate(self, y: Array, labels: Array, classes: int) -> Any:
        """Return a figure that JSON can hold: finite numbers, or lists and dicts of them.

        Args:
            y: outputs, (N, K) probabilities, or (N, 1) for the probability of class 1.
            labels: class indices, (N,).
            classes: how many classes the data has.
        """


def predicted_classes(y: Array) -> Array:
    """Return class indices (N,): the largest of (N, K), or y > 0.5 for (N, 1)."""
    if y.shape[1] == 1:
        return (y[:, 0] > 0.5).astype(np.int64)
    indices: Array = y.argmax(axis=1)
    return indices
