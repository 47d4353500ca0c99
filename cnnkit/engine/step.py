"""A step: a batch cut into shards, taken forward and backward, and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Arena, Array, FlatLayout, Scratch, Weights, flatten, locked
from cnnkit.base import (
    Backward,
    BatchTransform,
    Context,
    Loss,
    Split,
    Transform,
    forward_chain,
)
from cnnkit.base.backend import Fusing
from cnnkit.base.context import generator
from cnnkit.base.contract import checked_dy, checked_losses, checked_mix
from cnnkit.base.layer import Tap
from cnnkit.meeting import Alone, Meeting
from cnnkit.plan import Plan, Segment
from cnnkit.prediction import prepare
from cnnkit.workers import Processes, Threads, can_fork, one_blas_thread, shared_vector

T = TypeVar("T")


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
        tap: looks at the layers at work; mostly None.
        classes: how many there are, for transforms that mix targets.
        training: False where nothing is learned, and dropout stands still.
        images: over which the update averages; 0 for those of this batch.
    """

    split: Split
    rows: Array
    key: tuple[int, int, int]
    shard: int
    transforms: Sequence[Transform]
    dtype: npt.DTypeLike
    tap: Tap | None = None
    classes: int = 0
    training: bool = True
    images: int = 0
    losses: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._targets: dict[int, Array] = {}  # of shards whose images were mixed
        shards = -(-len(self.rows) // self.shard)
        self.losses = [0.0] * shards

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self.losses)

    def rows_of(self, shard: int) -> Array:
        """Return the indices in the split of the shard's images."""
        return self.rows[shard * self.shard : (shard + 1) * self.shard]

    def input(self, shard: int, scratch: Scratch) -> Array:
        """Return the shard's images as the first layer sees them."""
        rng = None
        if any(transform.random for transform in self.transforms):
            rng = generator((*self.key, shard), "transforms")
        images = self.split.images[self.rows_of(shard)]
        x = prepare(images, self.transforms, np.dtype(self.dtype), rng, scratch)
        mixing = [one for one in self.transforms if isinstance(one, BatchTransform)]
        if rng is not None and mixing:
            labels = self.split.labels[self.rows_of(shard)]
            targets = (labels[:, None] == np.arange(self.classes)).astype(x.dtype)
            for one in mixing:
                given = one.apply_batch(x, targets, rng, scratch)
                x, targets = checked_mix(one, x, targets, given)
            self._targets[shard] = targets
        return x

    def context(
        self,
        shard: int,
        scratch: Scratch,
        wants_dx: bool = False,
        tap: Tap | None = None,
        fuse: Fusing | None = None,
        meeting: Meeting | None = None,
    ) -> Context:
        """Return the context in which the shard meets the first layer of a segment."""
        meet = meeting.seat(shard) if meeting else Alone(len(self))
        key, tap = (*self.key, shard), tap or self.tap
        return Context(self.training, wants_dx, scratch, key, "", tap, fuse, meet)

    def loss_gradient(self, shard: int, y: Array, loss: Loss) -> Array:
        """Record the shard's loss; return the gradient of the mean loss at y, over all images of
        the update."""
        targets = self._targets.get(shard)
        labels = self.split.labels[self.rows_of(shard)] if targets is None else targets
        given = loss.forward(locked(y), labels)
        each, gradient = checked_losses(loss, y, given)
        self.losses[shard] = float(each.sum())
        dy = checked_dy(loss, y, gradient())
        dy *= dy.dtype.type(1 / (self.images or len(self.rows)))
        return dy


class Gradients:
    """Computes losses and gradients of batches; keeps the memory for them from step to step.

    Args:
        plan: what to run.
        weights: the weight tree; read here, updated elsewhere.
        layout: the weights that learn.
    """

    def __init__(self, plan: Plan, weights: Weights, layout: FlatLayout) -> None:
        self.plan, self._weights, self._layout = plan, weights, layout
        self.notes: list[str] = []
        """What went wrong and changed no result: processes that died."""
        self._vectors: list[Array] = []
        self._views: list[dict[str, Array]] = []
        self._arenas: list[Arena] = []  # one per shard, for networks of several segments
        self._own = Arena()
        self.renewed: Mapping[str, Array] = {}
        """Values for weights that do not learn, by path, of the last batch."""
        self._processes: Processes | None = None
        self._rows = np.empty(0, np.int64)  # of the batch at hand; shared with the processes

    def compute(self, batch: Batch, threads: Threads) -> list[dict[str, Array]]:
        """Fill `batch.losses` and return the gradients of the batch's mean loss, one per shard.

        They are to be added in their order; they and their memory are valid until the next call.
        """
        self._reserve(len(batch))
        shard_grads: list[dict[str, Array]] = [{}] * len(batch)
        if self._processes and len(batch) > 1:
            self._by_processes(self._processes, batch)
            shard_grads = self._views[: len(batch)]
        elif self.plan.gathers:
            self._meeting(batch, threads, shard_grads)
        elif self._at_once:
            threads.run(len(batch), lambda s, arena: self._whole(batch, s, arena, shard_grads))
        else:
            self._by_segment(batch, threads, shard_grads)
        return shard_grads

    def _meeting(self, batch: Batch, threads: Threads, shard_grads: list[dict[str, Array]]) -> None:
        """Let the shards meet on their way."""
        meeting = Meeting(len(batch), threads.count)

        def job(shard: int, arena: Arena) -> None:
            with meeting.attended():
                self._whole(batch, shard, arena, shard_grads, meeting)

        try:
            if self._at_once:
                threads.run(len(batch), job, together=True)
            else:
                self._by_segment(batch, threads, shard_grads, meeting)
        except BaseException:  # Ctrl-C may come where no shard is at work
            meeting.leave()
            raise
        self.renewed = meeting.renewed

    def _by_segment(
        self,
        batch: Batch,
        threads: Threads,
        shard_grads: list[dict[str, Array]],
        meeting: Meeting | None = None,
    ) -> None:
        self._arenas += [Arena() for _ in range(len(batch) + 1 - len(self._arenas))]
        trees = by_segment(self.plan, self._weights, batch, threads, self._arenas, meeting)
        for shard, grads in enumerate(trees):
            self._keep(shard, grads, shard_grads)

    @property
    def _at_once(self) -> bool:
        """Whether a shard can pass the whole network without waiting for others."""
        return len(self.plan.segments) == 1 and not self.plan.segments[0].couples_batch

    def vectors(self, shards: int) -> list[Array]:
        """Return the first `shards` (at least two) gradients as vectors in the layout's order."""
        return self._vectors[:shards]

    def _reserve(self, shards: int) -> None:
        while shards > 1 and len(self._vectors) < shards:
            dtype = next(iter(flatten(self._weights).values())).dtype
            self._vectors.append(shared_vector(self._layout.size, dtype))
            self._views.append(self._layout.views(self._vectors[-1]))

    def _whole(
        self,
        batch: Batch,
        shard: int,
        arena: Arena,
        shard_grads: list[dict[str, Array]],
        meeting: Meeting | None = None,
    ) -> None:
        """Take a shard through the whole network at once, while its activations are hot."""
        arena.reset()
        x = batch.input(shard, arena)
        ctx = batch.context(shard, arena, fuse=self.plan.fuse, meeting=meeting)
        y, back = forward_chain(self.plan.segments[0].steps, x, self._weights, ctx)
        _, grads = back(batch.loss_gradient(shard, y, self.plan.loss))
        self._keep(shard, grads, shard_grads)

    def _keep(self, shard: int, grads: Weights, shard_grads: list[dict[str, Array]]) -> None:
        """Copy gradients out of an arena that the next shard will use again."""
        flat = flatten(grads)
        if len(shard_grads) > 1:
            for path, view in self._views[shard].items():
                view[...] = flat.get(path, 0)
            flat = self._views[shard]
        shard_grads[shard] = flat  # a frozen layer's may be among them: nobody asks for these

    @contextmanager
    def processes(
        self, count: int, batch_of: Callable[[Array, int, int], Batch], images: int
    ) -> Iterator[None]:
        """Share the work with forked processes, where that is possible and pays.

        Args:
            count: how many to be at most, the parent included.
            batch_of: makes a batch from rows, epoch and step; called in the processes too.
            images: in a batch.
        """
        shards = len(batch_of(np.arange(images), 0, 0))
        helpers = min(count, shards) - 1
        if helpers < 1 or self.plan.gathers or not (self._at_once and can_fork()):
            yield
            return
        self._reserve(shards)  # before the fork: this memory is what they share
        rows = self._rows = shared_vector(images, np.int64)

        def handle(request: Array) -> Array:
            epoch, step, size, first, stride = map(int, request)
            batch = batch_of(rows[:size], epoch, step)
            return np.array([self._alone(batch, s) for s in range(first, len(batch), stride)])

        with one_blas_thread():  # which the processes inherit
            self._processes = Processes(helpers, handle, max(5, shards), self.notes.append)
        try:
            yield
        finally:
            self._processes.close()
            self._processes = None

    def _by_processes(self, processes: Processes, batch: Batch) -> None:
        """Deal the shards out, do the parent's own, and collect the rest."""
        workers = len(processes) + 1
        own, *shares = [range(first, len(batch), workers) for first in range(workers)]
        _, epoch, step = batch.key
        size = len(batch.rows)
        self._rows[:size] = batch.rows
        sent = [
            bool(shards) and processes.send(helper, [epoch, step, size, shards.start, workers])
            for helper, shards in enumerate(shares)
        ]
        for shard in own:
            self._alone(batch, shard)
        for helper, shards in enumerate(shares):
            losses = processes.receive(helper) if sent[helper] else None
            for i, shard in enumerate(shards):
                if losses is None:  # it failed or is gone: the parent meets the same error, or not
                    self._alone(batch, shard)
                else:
                    batch.losses[shard] = float(losses[i])

    def _alone(self, batch: Batch, shard: int) -> float:
        """Compute one shard into shared memory and return its loss."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self._whole(batch, shard, self._own, [{}] * len(batch))
        return batch.losses[shard]


def by_segment(
    plan: Plan,
    weights: Weights,
    batch: Batch,
    threads: Threads,
    arenas: Sequence[Arena],
    meeting: Meeting | None = None,
) -> list[Weights]:
    """Fill `batch.losses` and return each shard's gradients, in a network where samples meet.

    All shards pass one segment before any enters the next. A segment that couples the batch runs
    once, on all samples, and its gradients count as the first shard's.

    Args:
        arenas: one per shard and one more; arrays live in them until the backward pass is over.
        meeting: of the shards; None where none of the layers gathers.
    """
    for arena in arenas:
        arena.reset()
    values = [batch.input(shard, arenas[shard]) for shard in range(len(batch))]
    tape: list[list[Backward]] = []
    each = partial(_side_by_side, threads, meeting)
    for segment in plan.segments:
        whole = Meeting(1) if meeting and segment.couples_batch else meeting
        if whole and meeting:
            whole.renewed = meeting.renewed
        context = partial(batch.context, wants_dx=bool(tape), fuse=plan.fuse, meeting=whole)
        values, backs = _forward(segment, weights, context, each, arenas, values)
        tape.append(backs)
    for shard, y in enumerate(values):
        values[shard] = batch.loss_gradient(shard, y, plan.loss)
    grads: list[Weights] = [{} for _ in values]
    for segment, backs in zip(reversed(plan.segments), reversed(tape), strict=True):
        values = _backward(segment, backs, each, values, grads)
    return grads


Each = Callable[[int, Callable[[int], T]], list[T]]
"""(count, function) -> what the function returns for 0 .. count-1."""


def _side_by_side(
    threads: Threads, meeting: Meeting | None, count: int, function: Callable[[int], T]
) -> list[T]:
    if meeting is None or count < len(meeting):
        return threads.map(count, function)

    def attend(shard: int) -> T:
        with meeting.attended():
            return function(shard)

    return threads.map(count, attend, together=True)


def _forward(
    segment: Segment,
    weights: Weights,
    context: Callable[[int, Arena], Context],
    each: Each[tuple[Array, Backward]],
    arenas: Sequence[Arena],
    values: list[Array],
) -> tuple[list[Array], list[Backward]]:
    """Return the segment's output for each shard, and the way back."""
    together = segment.couples_batch
    inputs = [np.concatenate(values)] if together else values

    def pass_on(i: int) -> tuple[Array, Backward]:
        ctx = context(i, arenas[-1 if together else i])
        return forward_chain(segment.steps, inputs[i], weights, ctx)

    outputs, backs = zip(*each(len(inputs), pass_on), strict=True)
    return (_cut_alike(outputs[0], values) if together else list(outputs)), list(backs)


def _backward(
    segment: Segment,
    backs: Sequence[Backward],
    each: Each[tuple[Array, Weights]],
    values: list[Array],
    grads: list[Weights],
) -> list[Array]:
    """Return each shard's dx; add what the segment's weights get to `grads`."""
    together = segment.couples_batch
    inputs = [np.concatenate(values)] if together else values
    results = each(len(inputs), lambda i: backs[i](inputs[i]))
    for i, (_, found) in enumerate(results):
        grads[i].update(found)
    return _cut_alike(results[0][0], values) if together else [dx for dx, _ in results]


def _cut_alike(whole: Array, shards: Sequence[Array]) -> list[Array]:
    return np.split(whole, np.cumsum([len(shard) for shard in shards])[:-1])
