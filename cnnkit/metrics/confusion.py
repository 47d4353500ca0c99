"""Confusion matrix: which class is taken for which."""

from __future__ import annotations

from typing import Literal

from cnnkit.arrays import Array
from cnnkit.base import Metric
from cnnkit.metrics._counts import confusion_counts


class Confusion(Metric):
    """Counts of samples: a row per true class, a column per predicted class."""

    type: Literal["confusion"] = "confusion"

    def evaluate(self, y: Array, labels: Array, classes: int) -> list[list[int]]:
        rows: list[list[int]] = confusion_counts(y, labels, classes).tolist()
        return rows
