"""Setting aside a share of each class, for validation or for test."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Split
from cnnkit.base.context import generator


def take(data: Split, rows: Array) -> Split:
    """Return the images and labels of these indices."""
    return Split(data.images[rows], data.labels[rows])


def stratified_folds(labels: Array, folds: int, seed: int) -> Array:
    """Return to which of `folds` parts each sample belongs, (N,) integers from 0.

    The parts have as many samples as one another, give or take one, and so has each class in them.
    The result depends on the arguments alone.

    >>> parts = stratified_folds(np.array([0, 0, 0, 1, 1, 1, 1]), folds=3, seed=0)
    >>> np.bincount(parts).tolist()
    [3, 2, 2]
    """
    rng = generator((seed, 0, 0, 0), "folds")
    members = [rng.permutation(np.flatnonzero(labels == one)) for one in np.unique(labels)]
    dealt = np.empty(len(labels), np.int64)
    dealt[np.concatenate(members)] = np.arange(len(labels)) % folds  # where one class ends, go on
    return dealt


def stratified_split(
    labels: Array, share: float, seed: int, stream: str = "validation split"
) -> tuple[Array, Array]:
    """Return (indices that stay, indices set aside): sorted, disjoint, together all of them.

    Each class gives `share` of its samples, rounded to the nearest count, but never its last one:
    a class with a single sample stays in training. The result depends on the arguments alone.

    Args:
        labels: class indices, (N,) integers.
        share: fraction set aside, 0 <= share < 1.
        seed: any whole number from 0 to 2**64 - 1.
        stream: names what the draw is for, so that two of one seed are independent.

    >>> train, validation = stratified_split(np.array([0, 0, 1, 1, 2]), share=0.5, seed=0)
    >>> len(train), len(validation)
    (3, 2)
    """
    rng = generator((seed, 0, 0, 0), stream)
    aside = np.zeros(len(labels), bool)
    for one in np.unique(labels):
        members = np.flatnonzero(labels == one)
        count = min(int(share * len(members) + 0.5), len(members) - 1)
        aside[rng.permutation(members)[:count]] = True
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def stratified_sample(labels: Array, count: int, seed: int) -> Array:
    """Return the sorted indices of `count` samples, of each class its share as nearly as may
    be. Those of a smaller count are among those of a larger one.

    >>> stratified_sample(np.array([0, 1, 0, 0, 1, 0]), 3, seed=0).tolist()
    [0, 1, 3]
    """
    rng = generator((seed, 0, 0, 0), "subset")
    place = np.empty(len(labels))  # of a sample in its class, from 0 to 1
    for one in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == one))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(np.argsort(place, kind="stable")[:count])
