"""Bugs in metrics."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from planted import planted

from cnnkit.base import Metric


class Hits(Metric):
    """Share of hits."""

    type: Literal["hits"] = "hits"

    def evaluate(self, y, labels, classes):
        return float(np.mean(y.argmax(axis=1) == labels))


@planted("metric_is_json")
class NumPyNumber(Hits):
    """A NumPy float32, which JSON refuses."""

    type: Literal["numpy_number"] = "numpy_number"

    def evaluate(self, y, labels, classes):
        return np.float32(super().evaluate(y, labels, classes))


@planted("metric_is_json")
class ZeroByZero(Hits):
    """NaN where a class is missing."""

    type: Literal["zero_by_zero"] = "zero_by_zero"

    def evaluate(self, y, labels, classes):
        of_one = labels == 1
        hits = int(np.sum(y[of_one].argmax(axis=1) == 1))
        return hits / of_one.sum().item() if of_one.any() else float("nan")


@planted("metric_inputs_unmodified")
class Sorts(Hits):
    """Sorts the labels in place."""

    type: Literal["sorts"] = "sorts"

    def evaluate(self, y, labels, classes):
        figure = super().evaluate(y, labels, classes)
        labels.sort()
        return figure


@planted("metric_takes_any_labels")
class WrapsAround(Hits):
    """Arithmetic in the labels' own width."""

    type: Literal["wraps_around"] = "wraps_around"

    def evaluate(self, y, labels, classes):
        return float(np.mean(labels * labels.dtype.type(200)))


@planted("metric_ignores_order")
class FirstSample(Hits):
    """A dict, a member of which is the first sample's."""

    type: Literal["first_sample"] = "first_sample"

    def evaluate(self, y, labels, classes):
        hits = super().evaluate(y, labels, classes)
        return {"hits": hits, "inner": [1, {"first": float(y[0, 0])}]}


@planted("metric_ignores_order")
class FirstHalf(Hits):
    """Looks at the first half only."""

    type: Literal["first_half"] = "first_half"

    def evaluate(self, y, labels, classes):
        half = (len(y) + 1) // 2
        return super().evaluate(y[:half], labels[:half], classes)


@planted("metric_is_comparable")
class Misses(Hits):
    """Counts what is wrong, and says that more is better."""

    type: Literal["misses"] = "misses"
    better: ClassVar[Literal["higher", "lower"] | None] = "higher"

    def evaluate(self, y, labels, classes):
        return 1 - super().evaluate(y, labels, classes)
