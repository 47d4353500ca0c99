"""Training: epochs of steps over a model, and evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, FlatLayout, default_shard, flatten, replace_leaves
from cnnkit.base import Backend, Context, Epoch, Loss, Metric, Optimizer, Schedule, Split
from cnnkit.base.component import Table
from cnnkit.base.contract import checked_factor, checked_figure
from cnnkit.base.layer import generator
from cnnkit.base.optimizer import State
from cnnkit.engine.guard import (
    ADVICE,
    diverged,
    first_nonfinite,
    trial_step,
    watch_foreign,
)
from cnnkit.engine.plan import Plan, make_plan, tail
from cnnkit.engine.step import Batch, Gradients
from cnnkit.engine.update import Update
from cnnkit.errors import DataError, TrainingError
from cnnkit.model import Model, check_images
from cnnkit.provenance import attribute
from cnnkit.registry import Registry
from cnnkit.values import check_values
from cnnkit.workers import Threads, one_blas_thread, shared_threads


def evaluate(
    model: Model, plan: Plan, metrics: Sequence[Metric], split: Split, threads: Threads
) -> dict[str, Any]:
    """Return `{"loss": mean loss, type of each metric: its figure}` on `split`.

    Evaluation mode: dropout stands still, and nothing is learned.
    """
    check_images(model, split.images)
    steps = [step for segment in plan.segments for step in segment.steps]
    y = model.predictor(steps)(split.images, threads)
    losses, _ = plan.loss.forward(y, split.labels)
    if plan.head is not None:
        y, _ = plan.head.forward(y, {}, Context())
    classes = len(model.classes)
    figures = {m.type: checked_figure(m, m.evaluate(y, split.labels, classes)) for m in metrics}
    return {"loss": float(losses.mean()), **figures}


@dataclass(frozen=True, slots=True)
class Progress:
    """Where in an epoch training is: `samples` done of `total`, and the loss so far."""

    epoch: int
    samples: int
    total: int
    loss: float


Watcher = Callable[[Progress], None]


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
        threads: those to use; by default one per core.
        backend: computes with it from now on, predictions too; by default the model's own.
        registry: names the plugins behind the layers where one is at fault.
        watch: called after every step.

    Raises:
        ShapeError: where the loss cannot judge what the network gives.
        TrainingError: where no weight learns, or a layer does not do what it declared.
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
        threads: Threads | None = None,
        backend: Backend | Table | None = None,
        registry: Registry | None = None,
        watch: Watcher | None = None,
    ) -> None:
        loss.check(tail(model.network), model.output_shape, len(model.classes))
        self.model, self.step = model, 0
        self._optimizer, self._schedule = optimizer, schedule or optimizer.schedule
        self._metrics, self._epochs, self._batch_size = metrics, epochs, batch
        self._shuffle, self._shard, self._seed = shuffle, shard or default_shard(batch), seed
        self._threads, self._registry, self._watch = threads, registry or Registry(), watch
        model.use(backend or model.backend)
        self.plan = make_plan(model.network, loss).on(model.backend, model.dtype)
        self._tap = watch_foreign(model.network, self._registry)
        self._lay_out(model, trial_step(self.plan, model, self._registry))

    def _lay_out(self, model: Model, learning: frozenset[str]) -> None:
        """Put the weights that learn into one vector, beside the optimizer's state."""
        weights = flatten(model.weights)
        layout = FlatLayout.by_size({path: w for path, w in weights.items() if path in learning})
        optimizer = model.backend.fuse_optimizer(self._optimizer, model.dtype)
        self._update = Update(optimizer, layout, weights)
        replace_leaves(model.weights, self._update.weights)
        self._fixed = {path: w for path, w in weights.items() if path not in learning}
        self._gradients = Gradients(self.plan, model.weights, layout)

    @property
    def optimizer_state(self) -> State:
        """The optimizer's state by slot and path; changes in place with every step."""
        return self._update.state

    @property
    def notes(self) -> list[str]:
        """What went wrong and changed no result; whoever has told it may clear the list."""
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
        size, forks = min(self._batch_size, len(train)), self.model.backend.processes
        with (
            shared_threads(self._threads) as threads,
            self._gradients.processes(threads.count * forks, partial(self._batch, train), size),
        ):
            for epoch in range(self._epochs):
                # values that are not finite are looked for, and named
                ignored = np.errstate(over="ignore", invalid="ignore", divide="ignore")
                with ignored, one_blas_thread(), attribute(self._registry, self._now):
                    started = time.perf_counter()
                    loss, lr = self._epoch(epoch, train, threads)
                    seconds = time.perf_counter() - started
                    self._check_weights(epoch)
                    figures = self._judge(validation, threads) if validation else None
                yield Epoch(epoch + 1, loss, figures, seconds, len(train) / seconds, lr)

    def evaluate(self, split: Split) -> dict[str, Any]:
        """Return loss and metrics on `split`.

        Raises:
            TrainingError: where the loss is not finite.
        """
        with shared_threads(self._threads) as threads, one_blas_thread():
            return self._judge(split, threads)

    def _judge(self, split: Split, threads: Threads) -> dict[str, Any]:
        figures = evaluate(self.model, self.plan, self._metrics, split, threads)
        if not math.isfinite(figures["loss"]):
            raise TrainingError(
                f"the loss of {len(split):,} images outside the training split is not finite, "
                f"though every weight is; {ADVICE}"
            )
        return figures

    def _batch(self, train: Split, rows: Array, epoch: int, step: int) -> Batch:
        key = (self._seed, epoch, step)
        model = self.model
        return Batch(train, rows, key, self._shard, model.transforms, model.dtype, self._tap)

    def _now(self) -> str:
        return f"at step {self.step + 1}"

    def _epoch(self, epoch: int, train: Split, threads: Threads) -> tuple[float, float]:
        size, samples, total, lr = self._batch_size, 0, 0.0, 0.0
        order = epoch_order(len(train), self._shuffle, self._seed, epoch)
        steps = -(-len(train) // size)
        for index in range(steps):
            rows = order[index * size : (index + 1) * size]
            lr = self._lr(epoch + (index + 1) / steps)
            total += self._step(self._batch(train, rows, epoch, index), lr, threads)
            samples += len(rows)
            if self._watch is not None:
                self._watch(Progress(epoch + 1, samples, len(train), total / samples))
        return total / samples, lr

    def _lr(self, epoch: float) -> float:
        factor = self._schedule.multiplier(epoch, self._epochs)
        return self._optimizer.lr * checked_factor(self._schedule, factor)

    def _step(self, batch: Batch, lr: float, threads: Threads) -> float:
        try:
            shard_grads = self._gradients.compute(batch, threads)
            loss = sum(batch.losses)
            if not math.isfinite(loss):
                raise FloatingPointError
            self._update.apply(shard_grads, self._gradients, lr, self.step)
            self._renew(self._gradients.renewed)
        except FloatingPointError:
            when = f"at epoch {batch.key[1] + 1}, step {self.step + 1}"
            culprit = first_nonfinite(self.plan, self.model, batch, when, self._registry)
            raise culprit from None
        self.step += 1
        return loss

    def _renew(self, renewed: Mapping[str, Array]) -> None:
        """Set weights that do not learn, such as running means, to what layers made of the batch.

        Raises:
            TrainingError: where it is no such weight, or its shape another.
        """
        for path, value in renewed.items():
            weight = self._fixed.get(path)
            if weight is None or weight.shape != np.shape(value):
                raise TrainingError(
                    f"a layer renews {path} by an array of shape {np.shape(value)}; expected one "
                    f"of {', '.join(f'{p} {w.shape}' for p, w in self._fixed.items()) or 'none'}"
                )
            weight[...] = value

    def _check_weights(self, epoch: int) -> None:
        """The loss of a step is that before its update, so the last update has not been judged."""
        if culprit := diverged(self.model, self._update.state):
            raise TrainingError(f"training failed at the last step of epoch {epoch + 1}: {culprit}")


def labelled(model: Model, x: npt.ArrayLike, y: npt.ArrayLike) -> Split:
    """Return images and labels as a split, checked against each other and the model.

    Raises:
        DataError: saying what does not fit.
    """
    images, labels = np.asarray(x), np.asarray(y)
    check_images(model, images)
    classes = len(model.classes)
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        what = f"dtype {labels.dtype} and shape {labels.shape}"
        raise DataError(f"labels are of {what}; expected {len(images)} whole numbers, one an image")
    if not len(labels) or labels.min() < 0 or labels.max() >= classes:
        got = f"{labels.min()} to {labels.max()}" if len(labels) else "none at all"
        raise DataError(f"labels are {got}; expected 0 to {classes - 1}, as the model has "
                        f"{classes} classes")  # fmt: skip
    return Split(images, labels.astype(np.int64))


def epoch_order(samples: int, shuffle: str, seed: int, epoch: int) -> Array:
    """Return the order in which an epoch visits the samples, (samples,) indices."""
    if shuffle == "none":
        return np.arange(samples)
    turn = epoch if shuffle == "epoch" else 0
    return generator((seed, turn, 0, 0), "order").permutation(samples)
