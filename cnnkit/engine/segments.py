"""Networks in which samples of a batch meet: segment by segment, with a barrier between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnkit.arrays import Arena, Array, Weights
from cnnkit.base import Backward, forward_chain
from cnnkit.engine.batch import Batch
from cnnkit.engine.plan import Plan, Segment
from cnnkit.pool import Pool


def by_segment(
    plan: Plan, weights: Weights, batch: Batch, pool: Pool, arenas: Sequence[Arena]
) -> list[Weights]:
    """Fill `batch.losses` and return each shard's gradients.

    All shards pass one segment before any enters the next. A segment that couples the batch runs
    once, on all samples, and its gradients count as the first shard's.

    Args:
        arenas: one per shard and one more; arrays live in them until the backward pass is over.
    """
    for arena in arenas:
        arena.reset()
    values = [batch.input(shard, arenas[shard]) for shard in range(len(batch))]
    tape = []
    for index, segment in enumerate(plan.segments):
        run = _forward_together if segment.couples_batch else _forward_apart
        tape.append(run(segment, weights, batch, pool, arenas, values, index > 0))
    for shard, y in enumerate(values):
        values[shard] = batch.slope(shard, y, plan.loss)
    grads: list[Weights] = [{} for _ in values]
    for segment, backs in zip(reversed(plan.segments), reversed(tape), strict=True):
        if segment.couples_batch:
            _backward_together(backs[0], values, grads)
        else:
            _backward_apart(backs, pool, values, grads)
    return grads


def _forward_apart(
    segment: Segment,
    weights: Weights,
    batch: Batch,
    pool: Pool,
    arenas: Sequence[Arena],
    values: list[Array],
    wants_dx: bool,
) -> list[Backward]:
    """Replace each shard's value by the segment's output for it."""
    backs: dict[int, Backward] = {}

    def job(shard: int, _: Arena) -> None:
        ctx = batch.context(shard, arenas[shard], wants_dx)
        values[shard], backs[shard] = forward_chain(segment.steps, values[shard], weights, ctx)

    pool.run(len(values), job)
    return [backs[shard] for shard in range(len(values))]


def _forward_together(
    segment: Segment,
    weights: Weights,
    batch: Batch,
    pool: Pool,
    arenas: Sequence[Arena],
    values: list[Array],
    wants_dx: bool,
) -> list[Backward]:
    """Replace the shards' values by their parts of the segment's output for the whole batch."""
    ctx = batch.context(0, arenas[-1], wants_dx)
    y, back = forward_chain(segment.steps, np.concatenate(values), weights, ctx)
    values[:] = _cut_alike(y, values)
    return [back]


def _backward_apart(
    backs: Sequence[Backward], pool: Pool, values: list[Array], grads: list[Weights]
) -> None:
    def job(shard: int, _: Arena) -> None:
        values[shard], found = backs[shard](values[shard])
        grads[shard].update(found)

    pool.run(len(values), job)


def _backward_together(back: Backward, values: list[Array], grads: list[Weights]) -> None:
    dx, found = back(np.concatenate(values))
    grads[0].update(found)
    values[:] = _cut_alike(dx, values)


def _cut_alike(whole: Array, parts: Sequence[Array]) -> list[Array]:
    return np.split(whole, np.cumsum([len(part) for part in parts])[:-1])
