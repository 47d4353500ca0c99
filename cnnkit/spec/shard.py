"""How a batch is cut into shards."""

from __future__ import annotations


def shard_size(batch: int) -> int:
    """Return how many images a worker takes at a time: from the batch alone, so that the order
    of sums, and with it every bit of the result, is the same for any number of threads."""
    return batch if batch < 16 else min(32, batch // 2)
