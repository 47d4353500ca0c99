"""A zero-mean distribution of a given variance."""

from __future__ import annotations

from math import sqrt
from typing import Literal

import numpy as np

from cnnkit.arrays import Array, Shape

Distribution = Literal["normal", "uniform"]


def spread(
    distribution: Distribution, variance: float, shape: Shape, rng: np.random.Generator
) -> Array:
    """Draw `shape`, float64, with mean 0 and `variance`; the uniform one ends at sqrt(3 var)."""
    if distribution == "normal":
        return rng.standard_normal(shape) * sqrt(variance)
    limit = sqrt(3 * variance)
    return rng.uniform(-limit, limit, shape)
