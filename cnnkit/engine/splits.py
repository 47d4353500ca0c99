"""Splits: images with labels, judged, checked, and the order in which an epoch visits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, counted, locked
from cnnkit.base import Context, Metric, Split
from cnnkit.base.context import generator
from cnnkit.base.contract import checked_figure, checked_losses
from cnnkit.base.layer import Tap
from cnnkit.engine.plan import Plan
from cnnkit.errors import DataError
from cnnkit.model import Model, check_images
from cnnkit.workers import Threads


def evaluate(
    model: Model,
    plan: Plan,
    metrics: Sequence[Metric],
    split: Split,
    threads: Threads,
    average: bool = True,
    tap: Tap | None = None,
) -> dict[str, Any]:
    """Return `{"loss": mean loss, type of each metric: its figure}` on `split`.

    Evaluation mode: dropout stands still, and nothing is learned.

    Args:
        average: over the views that the model averages over in prediction; else images as they are.
    """
    check_images(model, split.images)
    labels = locked(split.labels)
    if average and model.average:
        y = model.predictor(model.network.steps, model.average, tap)(split.images, threads)
        losses, _ = checked_losses(plan.whole, y, plan.whole.forward(locked(y), labels))
    else:
        steps = [step for segment in plan.segments for step in segment.steps]
        y = model.predictor(steps, tap=tap)(split.images, threads)
        losses, _ = checked_losses(plan.loss, y, plan.loss.forward(locked(y), labels))
        if plan.head is not None:
            y, _ = plan.head.forward(y, {}, Context())
    y, classes = locked(y), len(model.classes)
    figures = {m.type: checked_figure(m, m.evaluate(y, labels, classes)) for m in metrics}
    return {"loss": float(losses.mean()), **figures}


def labelled(model: Model, x: npt.ArrayLike, y: npt.ArrayLike) -> Split:
    """Return images and labels as a split, checked against each other and the model.

    Raises:
        DataError: saying what does not fit.
    """
    images, labels = np.asarray(x), np.asarray(y)
    check_images(model, images)
    classes = len(model.classes)
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        what = f"dtype {labels.dtype} and shape {labels.shape}"
        raise DataError(f"labels are of {what}; expected {len(images)} whole numbers, one an image")
    if not len(labels) or labels.min() < 0 or labels.max() >= classes:
        got = f"{labels.min()} to {labels.max()}" if len(labels) else "none at all"
        raise DataError(f"labels are {got}; expected 0 to {classes - 1}, as the model has "
                        f"{counted(classes, 'class')}")  # fmt: skip
    return Split(images, labels.astype(np.int64))


def epoch_order(samples: int, shuffle: str, seed: int, epoch: int) -> Array:
    """Return the order in which an epoch visits the samples, (samples,) indices."""
    if shuffle == "none":
        return np.arange(samples)
    turn = epoch if shuffle == "epoch" else 0
    return generator((seed, turn, 0, 0), "order").permutation(samples)
