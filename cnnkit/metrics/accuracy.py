"""Accuracy: the share of right answers."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Metric, predicted_classes


class Accuracy(Metric):
    """Share of samples whose predicted class is the label, 0 to 1."""

    type: Literal["accuracy"] = "accuracy"

    def evaluate(self, y: Array, labels: Array, classes: int) -> float:
        return float(np.mean(predicted_classes(y) == labels))
