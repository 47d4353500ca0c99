"""Training: epochs of steps over a model, and evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, FlatLayout, default_shard, flatten, replace_leaves
from cnnkit.base import Backend, Callback, Epoch, Loss, Metric, Optimizer, Schedule, Split
from cnnkit.base.component import Table
from cnnkit.base.contract import checked_factor, checked_fit
from cnnkit.base.layer import Tap
from cnnkit.base.optimizer import State
from cnnkit.engine.callbacks import Callbacks, Memory
from cnnkit.engine.guard import (
    ADVICE,
    check_loss,
    diverged,
    first_nonfinite,
    trial_step,
    watch_foreign,
)
from cnnkit.engine.nonfinite import EpochStart, NonFiniteError, Policy, demand_finite_in
from cnnkit.engine.order import epoch_order
from cnnkit.engine.progress import Position, Progress, Watcher
from cnnkit.engine.step import Batch, Gradients
from cnnkit.engine.update import Update, renew, rules_of, take_over
from cnnkit.examined import evaluate, labelled
from cnnkit.model import Model
from cnnkit.plan import Plan, make_plan
from cnnkit.provenance import attribute, describe, is_foreign
from cnnkit.registry import Registry
from cnnkit.values import check_values
from cnnkit.workers import Threads, one_blas_thread, shared_threads


class Trainer:
    """Trains a model in place, from Python objects alone.

    Args:
        model: what to train; its weights change in place.
        loss, optimizer: what is made small, and how.
        schedule: of the learning rate; by default the optimizer's own.
        metrics: figures computed beside the loss.
        epochs: passes over the training images.
        batch: images per update of the weights.
        shuffle: "epoch" (a new order for each), "once" or "none".
        shard: images that one thread takes through the network at a time; by default chosen from
            the batch. Results depend on it, but never on the number of threads.
        seed: decides every random draw.
        on_nonfinite: where a loss or gradient is not finite, "stop", "skip" the step, or "rollback"
            to the epoch's start with half the learning rate.
        threads: those to use; by default one per core.
        backend: computes with it from now on, predictions too; by default the model's own.
        registry: names the plugins behind the layers where one is at fault.
        watch: called after every step.
        callbacks: may change training, in this order.

    Raises:
        ShapeError: where the loss cannot judge what the network gives.
        TrainingError: where no weight learns, a layer does not do what it declared, or a callback
            watches what is not measured.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        optimizer: Optimizer,
        *,
        schedule: Schedule | None = None,
        metrics: Sequence[Metric] = (),
        epochs: int = 3,
        batch: int = 32,
        shuffle: Literal["epoch", "once", "none"] = "epoch",
        shard: int | None = None,
        seed: int = 0,
        on_nonfinite: Policy = "stop",
        threads: Threads | None = None,
        backend: Backend | Table | None = None,
        registry: Registry | None = None,
        watch: Watcher | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        check_loss(loss, model)
        self.model, self._loss, self._policy = model, loss, on_nonfinite
        self._optimizer, self._schedule = optimizer, schedule or optimizer.schedule
        self._metrics, self._epochs, self._batch_size = metrics, epochs, batch
        self._shuffle, self._shard, self._seed = shuffle, shard or default_shard(batch), seed
        self._threads, self._registry, self.watch = threads, registry or Registry(), watch
        model.use(backend or model.backend)
        self.plan = self._planned()
        self._lay_out(model, trial_step(self.plan, model, self._registry), callbacks)

    def _planned(self) -> Plan:
        return make_plan(self.model.network, self._loss).on(self.model.backend, self.model.dtype)

    def _fit(self, train: Split) -> None:
        """Let transforms and loss take what they need from the training split."""
        self.model.fit_transforms(train.images)
        fitted = self._loss.fit(train.labels, len(self.model.classes))
        if checked_fit(self._loss, fitted) != self._loss:
            self._loss = fitted
            self.plan = self._gradients.plan = self._planned()

    def _lay_out(
        self, model: Model, learning: frozenset[str], callbacks: Sequence[Callback]
    ) -> None:
        """Put the weights that learn into one vector, beside the optimizer's state."""
        self._tap = watch_foreign(model.network, self._registry)
        weights = flatten(model.weights)
        own = {path: w for path, w in weights.items() if path in learning}
        rules = rules_of(model, self._optimizer)
        layout = FlatLayout.by_size(own, rules)
        fuse = partial(model.backend.fuse_optimizer, dtype=model.dtype)
        self._update = Update(self._optimizer, layout, weights, rules=rules, fuse=fuse)
        replace_leaves(model.weights, self._update.weights)
        self._fixed = {path: w for path, w in weights.items() if path not in learning}
        self._gradients = Gradients(self.plan, model.weights, layout)
        facts = self._optimizer.lr, self._metrics, self._epochs, self._seed
        self.callbacks = Callbacks(callbacks, self._update, self._fixed, *facts)
        if self._policy == "rollback":
            self._start = EpochStart(flatten(model.weights), self._update.state)

    position = Position()
    _start: EpochStart | None = None
    _goes_on = False  # from where another trainer was
    _updates, _earlier = 0, 0  # done by all runs of this trainer; by those before the last
    listen: Callable[[Tap | None, int, int], Tap | None] | None = None
    """Told the tap, the step in its epoch and how many there are; returns what looks at it."""
    judging = False
    """Whether it is between two epochs, where an exception tears nothing."""

    @property
    def step(self) -> int:
        """Steps done over the whole run."""
        return self.position.step

    def restore(
        self,
        weights: Mapping[str, Array],
        state: State,
        position: Position,
        memory: Memory | None = None,
    ) -> None:
        """Go on from where another trainer of the same settings was.

        Args:
            weights: all of the model's, by path; copied.
            state: what its `optimizer_state` held; copied.
            memory: what its callbacks remembered; copied.

        Raises:
            RunError: where they are not what this model, optimizer and callbacks have.
        """
        weights = {**weights, **(memory.moving if memory else {})}
        take_over("weights", {"": flatten(self.model.weights)}, {"": weights})
        take_over("optimizer", self.optimizer_state, state)
        self.callbacks.restore(memory)
        self.position, self._goes_on = position, True

    @property
    def optimizer_state(self) -> State:
        """The optimizer's state by slot and path, beside it that of an epoch's start where it may
        have to go back there; changes in place with every step."""
        return self._update.state | (self._start.state if self._start else {})

    @property
    def _foreign(self) -> str:
        """What the optimizer is called where cnnkit did not write it, else ""."""
        foreign = is_foreign(self._optimizer, self._registry)
        return describe("", self._optimizer, self._registry) if foreign else ""

    @property
    def _advice(self) -> str:
        return ADVICE + (f", or check the optimizer {self._foreign}" if self._foreign else "")

    @property
    def notes(self) -> list[str]:
        """What went wrong and ended nothing; whoever has told it may clear the list."""
        return self._gradients.notes

    def fit(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    ) -> list[Epoch]:
        """Train on images `x` (N, *shape before the transforms) with labels `y` (N,), whole
        numbers from 0; return a record per epoch.

        Raises:
            DataError: where images or labels do not fit the model.
            TrainingError: as `run` does.
        """
        train = labelled(self.model, x, y)
        images = train.images
        self.model.note_range(check_values(images, self.model.transforms, "training images"))
        held = labelled(self.model, *validation) if validation is not None else None
        return list(self.run(train, held))

    def run(self, train: Split, validation: Split | None) -> Generator[Epoch, None, None]:
        """Train epoch by epoch, and yield a record after each.

        Worker processes live until the last one: close the generator where you stop before.

        Raises:
            TrainingError: where the loss stops being finite, with layer and step; or where a
                plugin fails, with its distribution and version.
        """
        with attribute(self._registry, self._now):
            self._fit(train)
            if not self._goes_on:
                self.position, self._earlier = Position(step=self.position.step), self._updates
                self.callbacks.begin()
            self.callbacks.check(validation is not None)
        size, forks = min(self._batch_size, len(train)), self.model.backend.processes
        self._goes_on = False
        with (
            shared_threads(self._threads) as threads,
            self._gradients.processes(threads.count * forks, partial(self._batch, train), size),
        ):
            for epoch in range(self.position.epoch, self._epochs):
                if self.callbacks.stopped and not self.position.index:
                    break
                # values that are not finite are looked for, and named
                ignored = np.errstate(over="ignore", invalid="ignore", divide="ignore")
                with ignored, one_blas_thread(), attribute(self._registry, self._now):
                    self.callbacks.hide()
                    record = self._record(self._done(epoch, train, validation, threads))
                yield record
            with attribute(self._registry, self._now):
                self.callbacks.keep()

    def _record(self, figures: dict[str, Any] | None) -> Epoch:
        """Let callbacks act on an epoch that is done and judged, and return its record."""
        done, steps = self.position, self.callbacks.training.steps
        loss, speed = done.total / done.samples, done.samples / done.seconds
        lr = self._lr(done.epoch + done.index / steps, 1 / steps)
        self.callbacks.epoch(done, lr, figures or {"loss": loss})
        self.position = Position(done.epoch + 1, step=done.step, halved=done.halved)
        self.callbacks.show()
        facts = loss, figures, done.seconds, speed, lr, done.skipped, done.rollbacks
        return Epoch(done.epoch + 1, *facts)

    def _done(
        self, epoch: int, train: Split, validation: Split | None, threads: Threads
    ) -> dict[str, Any] | None:
        """Do what is left of an epoch, from its start again where that is the policy; return the
        figures on the validation split."""
        while True:
            try:
                return self._once(epoch, train, validation, threads)
            except NonFiniteError as error:
                self.judging = False
                if self._start is None or self.position.halved == self._start.most:
                    raise
                self._go_back(self._start, epoch, error)

    def _go_back(self, start: EpochStart, epoch: int, error: NonFiniteError) -> None:
        start.go_back()
        self.callbacks.go_back()
        self.position = self.position.begun_again()
        rate = f"{0.5**self.position.halved:g} of the learning rate"
        self.notes.append(f"back to the start of epoch {epoch + 1}, with {rate}: {error}")

    def _once(
        self, epoch: int, train: Split, validation: Split | None, threads: Threads
    ) -> dict[str, Any] | None:
        if self._start and self.position.index == 0:
            self._start.keep()
            self.callbacks.mark()
        whole = self._foreign and self.position.index == 0
        before = self._update.copy() if whole else None
        self._epoch(epoch, train, threads)
        if before is not None and self._lr(epoch + 1, 1 / self.position.index) > 0:
            self._update.check_moved(before)
        self._check_weights(epoch)
        self.judging = True
        with self.callbacks.showing():
            figures = self._judge(validation, threads, False) if validation else None
        self.judging = False
        return figures

    def evaluate(self, split: Split) -> dict[str, Any]:
        """Return loss and metrics on `split`, averaged over views where the model says so.

        Raises:
            TrainingError: where the loss is not finite.
        """
        with shared_threads(self._threads) as threads, one_blas_thread():
            return self._judge(split, threads)

    def _judge(self, split: Split, threads: Threads, average: bool = True) -> dict[str, Any]:
        with suppress(FloatingPointError):
            facts = self._metrics, split, threads, average, self._tap
            figures = evaluate(self.model, self.plan, *facts)
            if math.isfinite(figures["loss"]):
                return figures
        batch = replace(self._batch(split, np.arange(len(split)), 0, 0), training=False)
        raise self._nonfinite(batch, f"for {len(split):,} images outside the training split")

    def _nonfinite(self, batch: Batch, when: str) -> NonFiniteError:
        return first_nonfinite(self.plan, self.model, batch, when, self._registry, self._advice)

    def _batch(self, train: Split, rows: Array, epoch: int, step: int) -> Batch:
        key, model = (self._seed, epoch, step), self.model
        common = self._shard, model.transforms, model.dtype, self._tap, len(model.classes)
        together = self._optimizer.accumulate * self._batch_size  # images of a whole update
        first = step * self._batch_size // together * together
        return Batch(train, rows, key, *common, images=min(together, len(train) - first))

    def _now(self) -> str:
        return f"at step {self.step + 1}"

    def _epoch(self, epoch: int, train: Split, threads: Threads) -> None:
        """Do what is left of an epoch, or what callbacks let it do."""
        size, at = self._batch_size, self.position
        order = epoch_order(len(train), self._shuffle, self._seed, epoch)
        steps, started = -(-len(train) // size), time.perf_counter() - at.seconds
        self.callbacks.training.steps = steps
        for index in range(at.index, steps):
            if self.callbacks.stopped:
                break
            rows = order[index * size : (index + 1) * size]
            lr = self._lr(epoch + (index + 1) / steps, 1 / steps)
            batch = self._batch(train, rows, epoch, index)
            if self.listen is not None:
                batch.tap = self.listen(batch.tap, index, steps)
            loss = self._step(batch, lr, threads, steps)
            at = at.after(len(rows), loss, time.perf_counter() - started)
            due = self._due(index, steps)
            self.callbacks.step(at, lr, moved=due and at.missing < batch.images)
            self.position = at = replace(at, missing=0) if due else at
            if self.watch is not None:
                done = min((index + 1) * size, len(train))
                self.watch(Progress(epoch + 1, done, len(train), at.mean))

    def _due(self, index: int, steps: int) -> bool:
        """Return whether an update ends with a batch of an epoch of `steps`."""
        return (index + 1) % self._optimizer.accumulate == 0 or index + 1 == steps

    def _lr(self, epoch: float, step: float) -> float:
        """Return the rate of a step that takes `step` of an epoch and ends at `epoch`. The last one
        has the rate of its middle: a schedule that ends at 0 would make it a step for nothing."""
        factor = self._schedule.multiplier(min(epoch, self._epochs - step / 2), self._epochs)
        factor = checked_factor(self._schedule, factor) * 0.5**self.position.halved
        return self.callbacks.training.rate * factor

    def _step(self, batch: Batch, lr: float, threads: Threads, steps: int) -> float | None:
        """Take a batch, of an epoch of `steps`, forward and backward; where an update ends with it,
        move the weights. Return its loss, or None where it is skipped."""
        _, epoch, index = batch.key
        together = self._optimizer.accumulate
        update = self._earlier + epoch * -(-steps // together) + index // together
        due, came = self._due(index, steps), batch.images - self.position.missing
        try:
            shard_grads = self._gradients.compute(batch, threads)
            loss = sum(batch.losses)
            if not math.isfinite(loss):
                raise FloatingPointError
            if self._policy == "skip":
                demand_finite_in(shard_grads, self._update.weights)
            if due:
                self._update.apply(shard_grads, self._gradients, lr, update, came / batch.images)
                self._updates = update + 1
            else:
                self._update.add(shard_grads, self._gradients)
            renew(self._fixed, self._gradients.renewed)
        except FloatingPointError:
            self._skip(batch, index + 1 == steps)
            came -= len(batch.rows)
            if due and came:  # others wait for this update
                self._update.apply([{}], self._gradients, lr, update, came / batch.images)
                self._updates = update + 1
            return None
        return loss

    def _skip(self, batch: Batch, last: bool) -> None:
        """Note that a batch is left out, the last of its epoch or another, or raise."""
        error = self._nonfinite(batch, f"at epoch {batch.key[1] + 1}, step {self.step + 1}")
        none = last and not self.position.samples  # of all its steps
        if self._policy != "skip" or none or diverged(self.model, self._update.state):
            raise error from None
        if not self.position.skipped:  # one an epoch tells enough
            self.notes.append(f"skipped a step, as its numbers are not finite: {error}")

    def _check_weights(self, epoch: int) -> None:
        """The loss of a step is that before its update, so the last update has not been judged."""
        if culprit := diverged(self.model, self._update.state, self._advice):
            when = f"at the last step of epoch {epoch + 1}"
            raise NonFiniteError(f"training failed {when}: {culprit}")
