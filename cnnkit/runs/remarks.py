"""Remarks: what a practitioner would say of what came out of a run; mostly nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any

import numpy as np

from cnnkit.base import Epoch, Split
from cnnkit.base.component import walk
from cnnkit.provenance import describe, is_foreign
from cnnkit.specfile.runspec import RunSpec
from cnnkit.values import unscaled

_PARTED = 1.25
"""Times by which the validation loss ends above its lowest before that is worth a word."""
_LATER = 2
"""Epochs that it has been rising for, at least."""


def after_training(
    spec: RunSpec, epochs: Sequence[Epoch], test: dict[str, Any], judged_on: Split
) -> Iterator[str]:
    """Yield what the figures of a finished run say, each with the likeliest cause and one thing to
    try.

    Args:
        test: loss and metrics on the test images; empty where there are none.
        judged_on: the test images.
    """
    yield from _judged(spec, epochs, test, judged_on) if test else ()
    losses = [epoch.validation["loss"] or 0 for epoch in epochs if epoch.validation]
    if losses:
        best = int(np.argmin(losses))
        if len(losses) - 1 - best >= _LATER and losses[-1] > _PARTED * losses[best]:
            yield (
                f"the validation loss was lowest after epoch {best + 1} ({losses[best]:.4f}) and "
                f"ended at {losses[-1]:.4f}, while the training loss fell: the network learns the "
                "training images by heart; train for fewer epochs, or add dropout or weight decay"
            )


def _judged(
    spec: RunSpec, epochs: Sequence[Epoch], test: dict[str, Any], judged_on: Split
) -> Iterator[str]:
    """Yield what the figures on the test images say of a network that learned nothing."""
    labels = judged_on.labels
    counts = np.bincount(labels)
    share, matrix = counts.max() / len(labels), np.array(test.get("confusion") or [[0]])
    accuracy = test.get("accuracy", np.trace(matrix) / max(1, matrix.sum()))
    taken = matrix.sum(axis=0)
    # two standard errors; of few images, chance would explain too much
    chance = 2 * sqrt(share * (1 - share) / len(labels)) if len(labels) >= 100 else 0
    cause = _cause(spec, epochs, judged_on)
    if share == 1:  # figures of one class say nothing
        pass
    elif matrix.sum() and len(taken) > 1 and taken.max() == taken.sum():
        yield f"every test image is taken for one class: nothing was learned; {cause}"
    elif matrix.sum() and accuracy <= share + chance:
        yield (
            f"accuracy {accuracy:.4f} is no better than always guessing the most frequent class "
            f"({share:.4f}); {cause}"
        )


def _cause(spec: RunSpec, epochs: Sequence[Epoch], judged_on: Split) -> str:
    """Return the likeliest cause of a network that learned nothing, and what to try."""
    parts = walk([spec.model.layers, spec.loss, spec.optimizer, spec.data.transforms])
    if foreign := [describe("", one, spec.registry) for _, one in parts
                   if is_foreign(one, spec.registry)]:  # fmt: skip
        suspects = " or ".join(dict.fromkeys(foreign))
        return f"the first to doubt is {suspects}: try without"
    if unscaled(judged_on.images, spec.data.transforms):
        return 'bytes reach the network as they are: try transforms = ["scale"] under [data]'
    if spec.optimizer.lr == 0:
        return "lr = 0 moves no weight: try 0.001"
    lr, usual = spec.optimizer.lr, 0.001 if spec.optimizer.type == "adam" else 0.05
    if lr > 10 * usual:
        return f"the learning rate {lr:g} is probably too high: try {usual:g}"
    if lr < usual / 50:
        return f"the learning rate {lr:g} is probably too low: try {usual:g}"
    if epochs and epochs[-1].train_loss < 0.9 * epochs[0].train_loss:
        return "the training loss fell, so the test images differ from them: look at both"
    return "look at some images beside their labels, and try another learning rate"
