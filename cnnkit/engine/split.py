"""Set part of the training data aside for validation."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base.context import generator


def stratified_split(labels: Array, share: float, seed: int) -> tuple[Array, Array]:
    """Return (training indices, validation indices): sorted, disjoint, together all of them.

    Each class gives `share` of its samples, rounded to the nearest count, but never its last one:
    a class with a single sample stays in training. The result depends on the arguments alone.

    Args:
        labels: class indices, (N,) integers.
        share: fraction set aside, 0 <= share < 1.
        seed: any whole number from 0 to 2**64 - 1.

    >>> train, validation = stratified_split(np.array([0, 0, 1, 1, 2]), share=0.5, seed=0)
    >>> len(train), len(validation)
    (3, 2)
    """
    rng = generator((seed, 0, 0, 0), "validation split")
    aside = np.zeros(len(labels), bool)
    for one in np.unique(labels):
        members = np.flatnonzero(labels == one)
        count = min(int(share * len(members) + 0.5), len(members) - 1)
        aside[rng.permutation(members)[:count]] = True
    return np.flatnonzero(~aside), np.flatnonzero(aside)
