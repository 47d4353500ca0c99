"""The gradients of a batch: shards forward and backward on the pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from cnnkit.arrays import Arena, Array, Weights, flatten
from cnnkit.base import forward_chain
from cnnkit.blas import one_blas_thread
from cnnkit.engine.batch import Batch
from cnnkit.engine.flat import Layout
from cnnkit.engine.plan import Plan
from cnnkit.engine.segments import by_segment
from cnnkit.engine.team import Team, can_fork, shared_vector
from cnnkit.pool import Pool


class Gradients:
    """Computes losses and gradients of batches; keeps the memory for them from step to step.

    Args:
        plan: what to run.
        weights: the weight tree; read here, updated elsewhere.
        layout: the weights that learn.
        pool: runs the shards.
    """

    def __init__(self, plan: Plan, weights: Weights, layout: Layout, pool: Pool) -> None:
        self._plan, self._weights, self._layout, self._pool = plan, weights, layout, pool
        self._vectors: list[Array] = []
        self._views: list[dict[str, Array]] = []
        self._arenas: list[Arena] = []  # one per shard, for networks of several segments
        self._own = Arena()
        self._team: Team | None = None
        self._rows = np.empty(0, np.int64)  # of the batch at hand; shared with the team

    def __call__(self, batch: Batch) -> list[dict[str, Array]]:
        """Fill `batch.losses` and return the gradients of the batch's mean loss, in parts.

        The parts, one per shard, are to be added in their order; they and their memory are valid
        until the next call.
        """
        self._reserve(len(batch))
        parts: list[dict[str, Array]] = [{}] * len(batch)
        if self._team and len(batch) > 1:
            self._by_team(self._team, batch, parts)
        elif self._at_once:
            self._pool.run(len(batch), lambda s, arena: self._whole(batch, s, arena, parts))
        else:
            self._arenas += [Arena() for _ in range(len(batch) + 1 - len(self._arenas))]
            trees = by_segment(self._plan, self._weights, batch, self._pool, self._arenas)
            for shard, grads in enumerate(trees):
                self._keep(shard, grads, parts)
        return parts

    @property
    def _at_once(self) -> bool:
        """Whether a shard can pass the whole network without waiting for others."""
        return len(self._plan.segments) == 1 and not self._plan.segments[0].couples_batch

    @contextmanager
    def team(self, batch_of: Callable[[Array, int, int], Batch], images: int) -> Iterator[None]:
        """Share the work with forked processes, where that is possible and pays.

        Args:
            batch_of: makes a batch from rows, epoch and step; called in the workers too.
            images: in a batch.
        """
        shards = len(batch_of(np.arange(images), 0, 0))
        workers = min(self._pool.threads, shards) - 1
        if workers < 1 or not (self._at_once and can_fork()):
            yield
            return
        self._reserve(shards)  # before the fork: this memory is what they share

        rows = self._rows = shared_vector(images, np.int64)

        def serve(request: Array) -> Array:
            epoch, step, size, start, pace = map(int, request)
            batch = batch_of(rows[:size], epoch, step)
            hand = range(start, len(batch), pace)
            return np.array([self._alone(batch, shard) for shard in hand])

        with one_blas_thread():  # which the processes inherit
            team = self._team = Team(workers, serve, max(5, shards))
        try:
            yield
        finally:
            self._team = None
            team.close()

    def _alone(self, batch: Batch, shard: int) -> float:
        """Compute one shard into shared memory and return its loss."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self._whole(batch, shard, self._own, [{}] * len(batch))
        return batch.losses[shard]

    def _by_team(self, team: Team, batch: Batch, parts: list[dict[str, Array]]) -> None:
        """Deal the shards out, do the parent's own, and collect the rest."""
        everybody = len(team) + 1
        hands = [range(start, len(batch), everybody) for start in range(everybody)]
        _, epoch, step = batch.key
        size = len(batch.rows)
        self._rows[:size] = batch.rows
        asked = [
            bool(hand) and team.ask(worker, [epoch, step, size, hand.start, everybody])
            for worker, hand in enumerate(hands[1:])
        ]
        for shard in hands[0]:
            self._alone(batch, shard)
        for worker, hand in enumerate(hands[1:]):
            losses = team.answer(worker) if asked[worker] else None
            for i, shard in enumerate(hand):
                if losses is None:
                    self._alone(batch, shard)
                else:
                    batch.losses[shard] = float(losses[i])
        parts[:] = self._views[: len(batch)]

    def vectors(self, parts: int) -> list[Array]:
        """Return the first `parts` (at least two) parts as vectors in the layout's order."""
        return self._vectors[:parts]

    def _reserve(self, shards: int) -> None:
        while shards > 1 and len(self._vectors) < shards:
            dtype = next(iter(flatten(self._weights).values())).dtype
            self._vectors.append(shared_vector(self._layout.size, dtype))
            self._views.append(self._layout.views(self._vectors[-1]))

    def _whole(self, batch: Batch, shard: int, arena: Arena, parts: list[dict[str, Array]]) -> None:
        """Take a shard through the whole network at once, while its activations are hot."""
        arena.reset()
        x, ctx = batch.input(shard, arena), batch.context(shard, arena)
        y, back = forward_chain(self._plan.segments[0].steps, x, self._weights, ctx)
        _, grads = back(batch.slope(shard, y, self._plan.loss))
        self._keep(shard, grads, parts)

    def _keep(self, shard: int, grads: Weights, parts: list[dict[str, Array]]) -> None:
        """Copy gradients out of an arena that the next shard will use again."""
        flat = flatten(grads)
        if len(parts) > 1:
            for path, view in self._views[shard].items():
                view[...] = flat.get(path, 0)
            flat = self._views[shard]
        parts[shard] = flat
