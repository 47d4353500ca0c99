"""Batch: rows of a split on their way through the network, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, Scratch
from cnnkit.base import Context, Loss, Split, Transform
from cnnkit.base.context import generator
from cnnkit.shards import prepare


@dataclass
class Batch:
    """Rows of a split, cut into shards, and what came out of each.

    Args:
        split: images and labels.
        rows: indices of the batch's images.
        key: (seed, epoch, step), which decides every random draw made for this batch.
        shard: images per shard.
        transforms: applied to every shard of images.
        dtype: of the network.
    """

    split: Split
    rows: Array
    key: tuple[int, int, int]
    shard: int
    transforms: Sequence[Transform]
    dtype: npt.DTypeLike
    losses: list[float] = field(init=False)

    def __post_init__(self) -> None:
        shards = -(-len(self.rows) // self.shard)
        self.losses = [0.0] * shards

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self.losses)

    def _rows(self, shard: int) -> Array:
        return self.rows[shard * self.shard : (shard + 1) * self.shard]

    def input(self, shard: int, scratch: Scratch) -> Array:
        """Return the shard's images as the first layer sees them."""
        rng = None
        if any(transform.random for transform in self.transforms):
            rng = generator((*self.key, shard), "transforms")
        images = self.split.images[self._rows(shard)]
        return prepare(images, self.transforms, np.dtype(self.dtype), rng, scratch)

    def context(self, shard: int, scratch: Scratch, wants_dx: bool = False) -> Context:
        """Return the context in which the shard meets the first layer of a segment."""
        return Context(True, wants_dx, scratch, (*self.key, shard))

    def slope(self, shard: int, y: Array, loss: Loss) -> Array:
        """Record the shard's loss; return the slope of the whole batch's mean loss at y."""
        each, slope = loss.forward(y, self.split.labels[self._rows(shard)])
        self.losses[shard] = float(each.sum())
        dy = slope()
        dy *= dy.dtype.type(1 / len(self.rows))
        return dy
