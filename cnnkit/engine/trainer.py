"""Training: epochs of steps over a model, and evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cnnkit.arrays import Array, FlatLayout, default_shard, flatten, replace_leaves
from cnnkit.base import Context, Epoch, Metric, Split
from cnnkit.base.layer import generator
from cnnkit.base.optimizer import State
from cnnkit.engine.guard import ADVICE, attribute, blame, diverged, trial_step
from cnnkit.engine.plan import Plan, make_plan
from cnnkit.engine.step import Batch, Gradients
from cnnkit.engine.update import Update
from cnnkit.errors import TrainingError
from cnnkit.model import Model, run_shards
from cnnkit.specfile.runspec import RunSpec
from cnnkit.workers import Threads, one_blas_thread


def evaluate(
    model: Model, plan: Plan, metrics: Sequence[Metric], split: Split, pool: Threads
) -> dict[str, Any]:
    """Return `{"loss": mean loss, type of each metric: its figure}` on `split`.

    Evaluation mode: dropout stands still, and nothing is learned.
    """
    steps = [step for segment in plan.segments for step in segment.steps]
    y = run_shards(steps, model, split.images, pool)
    losses, _ = plan.loss.forward(y, split.labels)
    if plan.head is not None:
        y, _ = plan.head.forward(y, {}, Context())
    figures = {m.type: m.evaluate(y, split.labels, len(model.classes)) for m in metrics}
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
    """Trains a model in place; `fit` is a generator of epochs.

    Args:
        model: what to train; its weights change in place.
        spec: loss, optimizer, metrics, `[train]` and seed are read from it.
        pool: worker threads; results do not depend on their number.
        watch: called after every step.
    """

    def __init__(
        self, model: Model, spec: RunSpec, pool: Threads, watch: Watcher | None = None
    ) -> None:
        self.model, self.step = model, 0
        self._spec, self._pool = spec, pool
        self._watch = watch or (lambda progress: None)
        self.plan = make_plan(model.network, spec.loss)
        self._dtype = model.dtype
        weights = flatten(model.weights)
        learning = trial_step(self.plan, model, spec.registry)
        layout = FlatLayout.by_size({path: w for path, w in weights.items() if path in learning})
        self._update = Update(spec.optimizer, layout, weights)
        replace_leaves(model.weights, self._update.weights)
        self._gradients = Gradients(self.plan, model.weights, layout, pool)

    @property
    def optimizer_state(self) -> State:
        """The optimizer's state by slot and path; changes in place with every step."""
        return self._update.state

    def fit(self, train: Split, validation: Split | None) -> Generator[Epoch, None, None]:
        """Train for the spec's epochs, and yield a record after each.

        Worker processes live until the last one: close the generator where you stop before.

        Raises:
            TrainingError: where the loss stops being finite, with layer and step; or where a
                plugin fails, with its distribution and version.
        """
        size = min(self._spec.train.batch, len(train))
        with self._gradients.processes(partial(self._batch, train), size):
            for epoch in range(self._spec.train.epochs):
                with one_blas_thread(), attribute(self._spec.registry, self._now):
                    started = time.perf_counter()
                    loss, lr = self._epoch(epoch, train)
                    seconds = time.perf_counter() - started
                    self._check_weights(epoch)
                    figures = self.evaluate(validation) if validation else None
                yield Epoch(epoch + 1, loss, figures, seconds, len(train) / seconds, lr)

    def _batch(self, train: Split, rows: Array, epoch: int, step: int) -> Batch:
        spec = self._spec.train
        shard, key = spec.shard or default_shard(spec.batch), (self._spec.seed, epoch, step)
        return Batch(train, rows, key, shard, self.model.transforms, self._dtype)

    def _now(self) -> str:
        return f"step {self.step + 1}"

    def evaluate(self, split: Split) -> dict[str, Any]:
        """Return loss and metrics on `split`.

        Raises:
            TrainingError: where the loss is not finite.
        """
        with one_blas_thread():
            figures = evaluate(self.model, self.plan, self._spec.metrics, split, self._pool)
        if not math.isfinite(figures["loss"]):
            raise TrainingError(
                f"the loss of {len(split):,} images outside the training split is not finite, "
                f"though every weight is; {ADVICE}"
            )
        return figures

    def _epoch(self, epoch: int, train: Split) -> tuple[float, float]:
        size, samples, total, lr = self._spec.train.batch, 0, 0.0, 0.0
        order = epoch_order(len(train), self._spec.train.shuffle, self._spec.seed, epoch)
        steps = -(-len(train) // size)
        for index in range(steps):
            rows = order[index * size : (index + 1) * size]
            lr = self._lr(epoch + (index + 1) / steps)
            total += self._step(self._batch(train, rows, epoch, index), lr)
            samples += len(rows)
            self._watch(Progress(epoch + 1, samples, len(train), total / samples))
        return total / samples, lr

    def _check_weights(self, epoch: int) -> None:
        """The loss of a step is that before its update, so the last update has not been judged."""
        if culprit := diverged(self.model):
            raise TrainingError(f"training failed at the last step of epoch {epoch + 1}: {culprit}")

    def _lr(self, epoch: float) -> float:
        optimizer = self._spec.optimizer
        return optimizer.lr * optimizer.schedule.multiplier(epoch, self._spec.train.epochs)

    def _step(self, batch: Batch, lr: float) -> float:
        parts = self._gradients(batch)
        loss = sum(batch.losses)
        if not math.isfinite(loss):
            raise TrainingError(blame(self.plan, self.model, batch, self.step))
        self._update(parts, self._gradients, lr, self.step)
        self.step += 1
        return loss


def epoch_order(samples: int, shuffle: str, seed: int, epoch: int) -> Array:
    """Return the order in which an epoch visits the samples, (samples,) indices."""
    if shuffle == "none":
        return np.arange(samples)
    turn = epoch if shuffle == "epoch" else 0
    return generator((seed, turn, 0, 0), "order").permutation(samples)
