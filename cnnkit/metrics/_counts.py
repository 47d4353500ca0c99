"""The count table that classification metrics are made of."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import predicted_classes


def confusion_counts(y: Array, labels: Array, classes: int) -> Array:
    """Count samples by (true class, predicted class): (classes, classes) integers."""
    pairs = labels.astype(np.int64) * classes + predicted_classes(y)  # uint8 would wrap around
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
