"""Macro-F1: every class counts the same, however rare."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Metric
from cnnkit.metrics._counts import confusion_counts


class MacroF1(Metric):
    """Mean over all classes of the harmonic mean of precision and recall, 0 to 1.

    A class counts 0 where either is undefined (it never occurs, or is never predicted).
    """

    type: Literal["macro_f1"] = "macro_f1"

    def evaluate(self, y: Array, labels: Array, classes: int) -> float:
        counts = confusion_counts(y, labels, classes)
        hits, mentions = np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1)
        # 2PR / (P + R) = 2 hits / (predicted + true); without hits it is 0 or undefined: 0.
        return float(np.mean(2 * hits / np.maximum(mentions, 1)))
