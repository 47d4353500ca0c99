"""Shards: images on their way through named layers, a fixed number at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from cnnkit.arrays import Arena, Array, Scratch, Weights
from cnnkit.base import Context, Layer, Transform, forward_chain
from cnnkit.pool import Pool

PREDICT_SHARD = 16
"""Images per shard in prediction; fixed, so that results do not depend on the thread count."""


class Weighted(Protocol):
    """What running needs of a model besides its layers."""

    @property
    def weights(self) -> Weights: ...

    @property
    def transforms(self) -> Sequence[Transform]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...


def run_shards(
    steps: Sequence[tuple[str, Layer]],
    model: Weighted,
    images: Array,
    pool: Pool,
    shard: int = PREDICT_SHARD,
) -> Array:
    """Return the output of the model's named layers for all `images`, shard by shard on `pool`."""
    weights, transforms, dtype = model.weights, model.transforms, model.dtype
    outputs: list[Array] = [np.empty(0)] * max(1, -(-len(images) // shard))

    def job(number: int, arena: Arena) -> None:
        arena.reset()
        x = prepare(images[number * shard : (number + 1) * shard], transforms, dtype, None, arena)
        y, _ = forward_chain(steps, x, weights, Context(scratch=arena, wants_dx=False))
        outputs[number] = y.copy()

    pool.run(len(outputs), job)
    return np.concatenate(outputs) if len(outputs) != 1 else outputs[0]


def prepare(
    x: Array,
    transforms: Sequence[Transform],
    dtype: np.dtype[Any],
    rng: np.random.Generator | None,
    arena: Scratch,
) -> Array:
    """Apply the transforms to a shard of images and bring them to the network's dtype."""
    if dtype == np.float64:
        x = x.astype(np.float64)
    for transform in transforms:
        if not (transform.random and rng is None):
            x = transform.apply(x, rng, arena)
    return x if x.dtype == dtype else x.astype(dtype)
