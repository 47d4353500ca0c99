"""The kit for metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isclose
from typing import Any

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Metric
from cnnkit.testing import options
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.manners import manners
from cnnkit.testing.tools import require_same

_N = 40
_ROUNDING = 1e-5


class Judged:
    """A metric, with outputs and labels to judge."""

    def __init__(self, metric: Metric, classes: int = 3, seed: int = 0) -> None:
        self.metric = metric
        self.classes = max(2, classes)
        rng = np.random.default_rng([seed, 1])
        y = rng.uniform(0.01, 1, (_N, classes))
        self.y = (y / y.sum(axis=1, keepdims=True) if classes > 1 else y).astype(np.float32)
        self.labels = rng.integers(0, self.classes, _N)
        self.order = np.random.default_rng([seed, 2]).permutation(_N)

    def figure(self, y: Array, labels: Array) -> Any:
        """Return what the metric gives."""
        return self.metric.evaluate(y, labels, self.classes)

    def situations(self) -> Iterator[tuple[str, Array, Array]]:
        """Yield outputs and labels of every kind there is, with a name."""
        yield "ordinary data", self.y, self.labels
        yield "a single sample", self.y[:1], self.labels[:1]
        yield "data with one class only", self.y, self.labels * 0
        yield "equal outputs", self.y * 0 + self.y[0], self.labels


def _use(metric: Metric, classes: int = 3, seed: int = 0) -> None:
    judged = Judged(metric, classes, seed)
    for _, y, labels in judged.situations():
        judged.figure(y, labels)


kit = Kit("metric", options.kit, manners(_use), case=Judged)


@kit.check("end with float(...) or .tolist(); say what 0 / 0 means")
def metric_is_json(judged: Judged) -> None:
    """evaluate gives what JSON can hold: no NumPy numbers, no NaN, whatever classes occur."""
    for what, y, labels in judged.situations():
        figure = judged.figure(y, labels)
        try:
            json.dumps(figure, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise Fault(
                f"the figure for {what} does not go into summary.json",
                expected="finite floats and ints, lists and dicts of them",
                got=f"{figure!r}: {error}",
            ) from error


@kit.check("compute into new arrays")
def metric_inputs_unmodified(judged: Judged) -> None:
    """Outputs and labels are left as they were: other metrics read them too."""
    y, labels = judged.y.copy(), judged.labels.copy()
    judged.figure(y, labels)
    require_same(judged.y, y, "the metric changes the outputs y")
    require_same(judged.labels, labels, "the metric changes the labels")


@kit.check("write labels.astype(np.int64) before any arithmetic")
def metric_takes_any_labels(judged: Judged) -> None:
    """Integer labels of any width give the same figure: uint8 must not wrap around."""
    short = judged.labels.astype(np.uint8)
    _require_alike(judged, judged.y, short, "uint8 labels give another figure")


@kit.check("count and average over all samples at once")
def metric_ignores_order(judged: Judged) -> None:
    """The order of the samples does not matter."""
    y, labels = judged.y[judged.order], judged.labels[judged.order]
    _require_alike(judged, y, labels, "the figure depends on the order of the samples")


@kit.check("return float(...), or leave out `better`")
def metric_is_comparable(judged: Judged) -> None:
    """A metric that declares which figure is `better` gives numbers, and the better one for the
    labels themselves than for what is always wrong."""
    metric, K = judged.metric, judged.y.shape[1]
    if metric.better is None:
        return
    hits = np.eye(judged.classes)[judged.labels][:, -K:]
    figures = [judged.figure(y.astype(np.float32), judged.labels) for y in (hits, 1 - hits)]
    numbers = all(isinstance(one, int | float) for one in figures)
    require(numbers, "figures cannot be compared", expected="numbers", got=repr(figures))
    right, wrong = figures if metric.better == "higher" else figures[::-1]
    what = f"{metric.better} is declared better, and outputs that are right have no better figure"
    require(right > wrong, what, expected="the better figure for right outputs", got=repr(figures))


def _require_alike(judged: Judged, y: Array, labels: Array, what: str) -> None:
    wanted, got = judged.figure(judged.y, judged.labels), judged.figure(y, labels)
    require(_alike(wanted, got), what, expected=repr(wanted), got=repr(got))


def _alike(one: Any, two: Any) -> bool:
    """Compare what JSON can hold, numbers up to the rounding of sums in float32."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_alike(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_alike, one, two))
    if isinstance(one, int | float) and isinstance(two, int | float):
        return isclose(one, two, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return bool(one == two)


def check_metric(metric: Metric, classes: int = 3, *, seed: int = 0) -> None:
    """Run every check on a metric; raise CheckFailure for the first that fails.

    `classes = 1` stands for outputs (N, 1) with two classes.
    """
    __tracebackhide__ = True
    kit.run(metric, classes, seed)
