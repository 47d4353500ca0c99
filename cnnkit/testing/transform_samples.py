"""What the checks of transforms use: images, and one call of a transform."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.base import Transform
from cnnkit.testing.scratch import CLEAN

BATCH = 5
"""Images per shard."""


def images(shape: Shape, seed: int, dtype: npt.DTypeLike) -> Array:
    """Draw images with values 0..255."""
    return np.random.default_rng([seed, 1]).integers(0, 256, (BATCH, *shape)).astype(dtype)


def applied(transform: Transform, x: Array, seed: int, scratch: Scratch = CLEAN) -> Array:
    """Apply the transform, with the generator of `seed` where it is random."""
    rng = np.random.default_rng([seed, 2]) if transform.random else None
    return transform.apply(x, rng, scratch)
