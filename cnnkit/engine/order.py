"""Order: the one in which an epoch visits the samples."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base.context import generator


def epoch_order(samples: int, shuffle: str, seed: int, epoch: int) -> Array:
    """Return the order in which an epoch visits the samples, (samples,) indices."""
    if shuffle == "none":
        return np.arange(samples)
    turn = epoch if shuffle == "epoch" else 0
    return generator((seed, turn, 0, 0), "order").permutation(samples)
