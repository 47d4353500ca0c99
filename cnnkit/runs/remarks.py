"""Remarks: what a practitioner would say of a spec, and of what came out of it; mostly nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any

import numpy as np

from cnnkit.base import Epoch, Layer
from cnnkit.base.component import walk
from cnnkit.specfile.runspec import RunSpec

_PARTED = 1.25
"""Times by which the validation loss ends above its lowest before that is worth a word."""
_LATER = 2
"""Epochs that it has been rising for, at least."""


def before_training(spec: RunSpec) -> Iterator[str]:
    """Yield what can be run, but hardly be meant."""
    optimizer, epochs = spec.optimizer, spec.train.epochs
    if optimizer.lr == 0:
        yield "[optimizer]: lr = 0, so nothing will be learned"
    warmup = optimizer.schedule.warmup
    if warmup > epochs:
        yield (
            f"[optimizer] schedule: warmup = {warmup:g} is longer than the {epochs} epochs of "
            "training, so the learning rate never gets there"
        )
    layers = list(spec.model.layers)
    for number, layer in enumerate(layers[:-1], start=1):
        for _, inner in walk(layer):
            init = getattr(inner, "init", None)
            if isinstance(inner, Layer) and getattr(init, "type", "") == "zeros":
                yield (
                    f"layer {number} ({layer.type}): init = zeros makes all its units equal, and "
                    'they stay equal; use "he" or "glorot"'
                )


def after_training(
    spec: RunSpec, epochs: Sequence[Epoch], test: dict[str, Any], labels: Any
) -> Iterator[str]:
    """Yield what the figures of a finished run say, each with the likeliest cause and one thing to
    try.

    Args:
        test: loss and metrics on the test images.
        labels: of the test images.
    """
    counts = np.bincount(labels)
    share, matrix = counts.max() / len(labels), np.array(test.get("confusion") or [[0]])
    accuracy = test.get("accuracy", np.trace(matrix) / max(1, matrix.sum()))
    taken = matrix.sum(axis=0)
    cause = _cause(spec, epochs)
    if matrix.sum() and len(taken) > 1 and taken.max() == taken.sum():
        yield f"every test image is taken for one class: nothing was learned; {cause}"
    elif matrix.sum() and accuracy <= share + sqrt(share * (1 - share) / len(labels)):
        yield (
            f"accuracy {accuracy:.4f} is no better than always guessing the most frequent class "
            f"({share:.4f}); {cause}"
        )
    losses = [epoch.validation["loss"] for epoch in epochs if epoch.validation]
    if losses:
        best = int(np.argmin(losses))
        if len(losses) - 1 - best >= _LATER and losses[-1] > _PARTED * losses[best]:
            yield (
                f"the validation loss was lowest after epoch {best + 1} ({losses[best]:.4f}) and "
                f"ended at {losses[-1]:.4f}, while the training loss fell: the network learns the "
                "training images by heart; train for fewer epochs, or add dropout or weight decay"
            )


def _cause(spec: RunSpec, epochs: Sequence[Epoch]) -> str:
    """Return the likeliest cause of a network that learned nothing, and what to try."""
    lr, usual = spec.optimizer.lr, 0.001 if spec.optimizer.type == "adam" else 0.05
    if lr > 4 * usual:
        return f"the learning rate {lr:g} is probably too high: try {usual:g}"
    if lr < usual / 50:
        return f"the learning rate {lr:g} is probably too low: try {usual:g}"
    if epochs and epochs[-1].train_loss < 0.9 * epochs[0].train_loss:
        return "the training loss fell, so the test images differ from them: look at both"
    return "look at some images beside their labels, and try another learning rate"
