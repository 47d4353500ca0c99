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


def _use(metric: Metric, classes: int = 3, seed: int = 0) -> None:
    for _, y, labels in _situations(classes, seed):
        metric.evaluate(y, labels, max(2, classes))


kit = Kit("metric", options.kit, manners(_use))


@kit.check
def metric_is_json(metric: Metric, classes: int = 3, seed: int = 0) -> None:
    """evaluate gives what JSON can hold: no NumPy numbers, no NaN, whatever classes occur."""
    for what, y, labels in _situations(classes, seed):
        figure = metric.evaluate(y, labels, max(2, classes))
        try:
            json.dumps(figure, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise Fault(
                f"the figure for {what} does not go into summary.json",
                expected="finite floats and ints, lists and dicts of them",
                got=f"{figure!r}: {error}",
                fix="end with float(...) or .tolist(); say what 0 / 0 means",
            ) from error


@kit.check
def metric_inputs_unmodified(metric: Metric, classes: int = 3, seed: int = 0) -> None:
    """Outputs and labels are left as they were: other metrics read them too."""
    (y, labels), (y_before, labels_before) = _case(classes, seed), _case(classes, seed)
    metric.evaluate(y, labels, max(2, classes))
    fix = "compute into new arrays"
    require_same(y_before, y, "the metric changes the outputs y", fix=fix)
    require_same(labels_before, labels, "the metric changes the labels", fix=fix)


@kit.check
def metric_takes_any_labels(metric: Metric, classes: int = 3, seed: int = 0) -> None:
    """Integer labels of any width give the same figure: uint8 must not wrap around."""
    y, labels = _case(classes, seed)
    one = metric.evaluate(y, labels, max(2, classes))
    two = metric.evaluate(y, labels.astype(np.uint8), max(2, classes))
    require(
        _alike(one, two),
        "uint8 labels give another figure",
        expected=f"{one!r}",
        got=f"{two!r}",
        fix="write labels.astype(np.int64) before any arithmetic",
    )


@kit.check
def metric_ignores_order(metric: Metric, classes: int = 3, seed: int = 0) -> None:
    """The order of the samples does not matter."""
    y, labels = _case(classes, seed)
    order = np.random.default_rng([seed, 2]).permutation(_N)
    one = metric.evaluate(y, labels, max(2, classes))
    two = metric.evaluate(y[order], labels[order], max(2, classes))
    require(
        _alike(one, two),
        "the figure depends on the order of the samples",
        expected=f"{one!r}",
        got=f"{two!r}",
        fix="count and average over all samples at once",
    )


def check_metric(metric: Metric, classes: int = 3, *, seed: int = 0) -> None:
    """Run every check on a metric; `classes = 1` stands for outputs (N, 1) with two classes.

    Raises:
        CheckFailure: for the first check that fails; it says what to mend.
    """
    __tracebackhide__ = True
    kit.run(metric, classes, seed)


def _case(classes: int, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng([seed, 1])
    y = rng.uniform(0.01, 1, (_N, classes))
    if classes > 1:
        y /= y.sum(axis=1, keepdims=True)
    return y.astype(np.float32), rng.integers(0, max(2, classes), _N)


def _alike(one: Any, two: Any) -> bool:
    """Compare what JSON can hold, numbers up to the rounding of sums in float32."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_alike(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_alike, one, two))
    if isinstance(one, int | float) and isinstance(two, int | float):
        return isclose(one, two, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return bool(one == two)


def _situations(classes: int, seed: int) -> Iterator[tuple[str, Array, Array]]:
    y, labels = _case(classes, seed)
    yield "ordinary data", y, labels
    yield "a single sample", y[:1], labels[:1]
    yield "data with one class only", y, labels * 0
    yield "equal outputs", y * 0 + y[0], labels
