"""A step: a batch cut into shards, taken forward and backward, and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Arena, Array, FlatLayout, Scratch, Weights, flatten
from cnnkit.base import Backward, Context, Loss, Split, Transform, forward_chain
from cnnkit.base.layer import generator
from cnnkit.engine.plan import Plan, Segment
from cnnkit.model import prepare
from cnnkit.workers import Processes, Threads, can_fork, one_blas_thread, shared_vector


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

    def loss_gradient(self, shard: int, y: Array, loss: Loss) -> Array:
        """Record the shard's loss; return the slope of the whole batch's mean loss at y."""
        each, slope = loss.forward(y, self.split.labels[self._rows(shard)])
        self.losses[shard] = float(each.sum())
        dy = slope()
        dy *= dy.dtype.type(1 / len(self.rows))
        return dy


def by_segment(
    plan: Plan, weights: Weights, batch: Batch, pool: Threads, arenas: Sequence[Arena]
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
        values[shard] = batch.loss_gradient(shard, y, plan.loss)
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
    pool: Threads,
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
    pool: Threads,
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
    backs: Sequence[Backward], pool: Threads, values: list[Array], grads: list[Weights]
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


class Gradients:
    """Computes losses and gradients of batches; keeps the memory for them from step to step.

    Args:
        plan: what to run.
        weights: the weight tree; read here, updated elsewhere.
        layout: the weights that learn.
        pool: runs the shards.
    """

    def __init__(self, plan: Plan, weights: Weights, layout: FlatLayout, pool: Threads) -> None:
        self._plan, self._weights, self._layout, self._pool = plan, weights, layout, pool
        self._vectors: list[Array] = []
        self._views: list[dict[str, Array]] = []
        self._arenas: list[Arena] = []  # one per shard, for networks of several segments
        self._own = Arena()
        self._processes: Processes | None = None
        self._rows = np.empty(0, np.int64)  # of the batch at hand; shared with the team

    def __call__(self, batch: Batch) -> list[dict[str, Array]]:
        """Fill `batch.losses` and return the gradients of the batch's mean loss, in parts.

        The parts, one per shard, are to be added in their order; they and their memory are valid
        until the next call.
        """
        self._reserve(len(batch))
        parts: list[dict[str, Array]] = [{}] * len(batch)
        if self._processes and len(batch) > 1:
            self._by_processes(self._processes, batch, parts)
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
    def processes(
        self, batch_of: Callable[[Array, int, int], Batch], images: int
    ) -> Iterator[None]:
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

        def handle(request: Array) -> Array:
            epoch, step, size, start, pace = map(int, request)
            batch = batch_of(rows[:size], epoch, step)
            hand = range(start, len(batch), pace)
            return np.array([self._alone(batch, shard) for shard in hand])

        with one_blas_thread():  # which the processes inherit
            processes = self._processes = Processes(workers, handle, max(5, shards))
        try:
            yield
        finally:
            self._processes = None
            processes.close()

    def _alone(self, batch: Batch, shard: int) -> float:
        """Compute one shard into shared memory and return its loss."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self._whole(batch, shard, self._own, [{}] * len(batch))
        return batch.losses[shard]

    def _by_processes(
        self, processes: Processes, batch: Batch, parts: list[dict[str, Array]]
    ) -> None:
        """Deal the shards out, do the parent's own, and collect the rest."""
        everybody = len(processes) + 1
        hands = [range(start, len(batch), everybody) for start in range(everybody)]
        _, epoch, step = batch.key
        size = len(batch.rows)
        self._rows[:size] = batch.rows
        asked = [
            bool(hand) and processes.send(worker, [epoch, step, size, hand.start, everybody])
            for worker, hand in enumerate(hands[1:])
        ]
        for shard in hands[0]:
            self._alone(batch, shard)
        for worker, hand in enumerate(hands[1:]):
            losses = processes.receive(worker) if asked[worker] else None
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
        _, grads = back(batch.loss_gradient(shard, y, self._plan.loss))
        self._keep(shard, grads, parts)

    def _keep(self, shard: int, grads: Weights, parts: list[dict[str, Array]]) -> None:
        """Copy gradients out of an arena that the next shard will use again."""
        flat = flatten(grads)
        if len(parts) > 1:
            for path, view in self._views[shard].items():
                view[...] = flat.get(path, 0)
            flat = self._views[shard]
        parts[shard] = flat
