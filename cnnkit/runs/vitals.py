"""Vitals: what training looked like from within, a line for the first step and for each epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Weights, flatten
from cnnkit.base import Backward, Context, Layer
from cnnkit.base.layer import Tap
from cnnkit.engine.progress import Progress
from cnnkit.engine.trainer import Trainer

VITALS = "vitals.jsonl"
FLAT = 0.005
"""Slope of an activation below which hardly any gradient comes through."""
_FEW = 4
"""Images of a shard whose slopes are looked at: all would cost as much as a layer."""
_STEPS = 50
"""Between two looks, at least: each costs a third of one step of a small network."""


class Vitals:
    """Looks at steps that training takes anyway, and changes nothing in them.

    It sees a shard of the last step but one of an epoch, as the last may hold a single image, and
    how far one in the middle moves the weights, as schedules end at 0. A backend that computes
    several layers at once shows nothing between them. What cannot be measured or written is left
    out: a run is worth more.

    Args:
        folder: the run's.
        labels: of the training images.
        epochs, batch: how many there will be, and the images of a step.
        together: steps of an update.
    """

    def __init__(
        self,
        folder: Path,
        trainer: Trainer,
        labels: Array,
        epochs: int,
        batch: int,
        together: int = 1,
    ) -> None:
        self._path, self._trainer = folder / VITALS, trainer
        self._look = _Look(None, {}, 0)
        self._updates, self._before = dict[str, float | None](), dict[str, Array]()
        self._batch, self._epochs = batch, epochs
        steps = -(-len(labels) // self._batch)
        self._every = -(-_STEPS // steps)  # epochs
        self._middle = min(steps - 1, steps // 2 // together * together + together - 1)
        self._classes = np.bincount(labels).tolist()
        trainer.listen = self.listen
        if not trainer.step:
            self._keep()

    def _wanted(self, epoch: int) -> bool:
        return epoch % self._every == 0 or epoch == self._epochs

    def listen(self, tap: Tap | None, index: int, steps: int) -> Tap | None:
        """Return what shall look at step `index` of an epoch of so many: `tap`, unless it is one
        to record."""
        at = self._trainer.position
        if at.step and (index != max(0, steps - 2) or not self._wanted(at.epoch + 1)):
            return tap
        self._look = _Look(tap, self._look.silent, self._batch)
        return self._look

    def after_step(self, progress: Progress) -> None:
        """Measure the update in the middle of an epoch, and the first of all."""
        done, first = -(-progress.samples // self._batch), self._trainer.step == 1
        if first or done == self._middle + 1:
            self._compare()
        if first:
            self._write(0, {"classes": self._classes})
        over = progress.samples >= progress.total
        if (0 if over else done) == self._middle and self._wanted(progress.epoch + over):
            self._keep()

    def epoch(self, epoch: int) -> None:
        """Add the line of an epoch to the record."""
        if self._wanted(epoch):
            self._write(epoch, {})

    def _write(self, epoch: int, facts: dict[str, Any]) -> None:
        with suppress(OSError, ArithmeticError, ValueError):
            line = {"epoch": epoch, **facts, **self._look.found(self._updates)}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(line, allow_nan=False)}\n")

    def _arrays(self) -> dict[str, Array]:
        """Return the weights that learn and have more than one axis, by layer: kernels, matrices.
        Biases begin at 0, so that a share of them says nothing."""
        model = self._trainer.model
        return {path.rpartition("/")[0]: w for path, w in flatten(model.weights).items()
                if w.ndim > 1 and path in model.learning}  # fmt: skip

    def _keep(self) -> None:
        self._before = {path: w.copy() for path, w in self._arrays().items()}

    def _compare(self) -> None:
        """Note by which share of its size each layer's weights have just moved."""
        before, self._before = self._before, {}
        if before:
            self._updates = {path: share(w - before[path], before[path])
                             for path, w in self._arrays().items()}  # fmt: skip


def share(part: Array, whole: Array) -> float | None:
    """Return the norm of an array over that of another one; None where that is 0, or not finite."""
    size = float(np.linalg.norm(whole))
    return rounded(float(np.linalg.norm(part)) / size) if size else None


def rounded(value: float) -> float | None:
    """Return a number with the digits that count here; None where it is not finite."""
    return float(f"{value:.4g}") if isfinite(value) else None


class _Look:
    """A tap that measures one shard, and hands on what passes.

    Args:
        before: which units gave 0 alone at the last look, by layer: more images to go by.
        images: over which the step averages.
    """

    def __init__(self, under: Tap | None, before: Mapping[str, Array], images: int) -> None:
        self._under, self._before, self._images = under, before, images
        self._input: dict[str, float | None] | None = None
        self._gradients: dict[str, float | None] = {}
        self._flat: dict[str, float | None] = {}
        self.silent: dict[str, Array] = {}
        """Which units gave 0 for every image, by layer."""

    def __call__(self, layer: Layer, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = self._under(layer, x, w, ctx) if self._under else layer.forward(x, w, ctx)
        learns = [name for name, a in w.items() if isinstance(a, np.ndarray) and a.ndim > 1]
        acts = not w and ctx.wants_dx and x.shape == y.shape
        if ctx.key[-1] != 0 or not (learns or acts):
            return y, back
        with suppress(Exception):
            if acts:
                units = y.reshape(len(y), y.shape[1], -1).any(axis=(0, 2))
                self.silent[ctx.path] = np.logical_not(units)
            elif self._input is None:
                mean, std = rounded(float(x.mean())), rounded(float(x.std()))
                self._input = {"mean": mean, "std": std}

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, grads = back(dy)
            with suppress(Exception):
                if acts:
                    self._flat[ctx.path] = _flat(y[:_FEW], dx[:_FEW], dy[:_FEW])
                for name in learns:
                    part = grads[name] * x.dtype.type(self._images / len(x))
                    self._gradients[ctx.path] = share(part, w[name])
            return dx, grads

        return y, backward

    def found(self, updates: Mapping[str, float | None]) -> dict[str, Any]:
        """Return what was seen, as it is written."""
        weights = {path: {"gradient": self._gradients.get(path), "update": update}
                   for path, update in updates.items()}  # fmt: skip
        acts = {path: {"units": units.size,
                       "silent": int((units & self._before.get(path, units)).sum()),
                       "flat": self._flat.get(path)}
                for path, units in self.silent.items()}  # fmt: skip
        return {"input": self._input, "weights": weights, "activations": acts}


def _flat(y: Array, dx: Array, dy: Array) -> float | None:
    """Return the share of numbers that let hardly any gradient through, of those that are not 0."""
    seen = (y != 0) & (dy != 0)
    flat = seen & (np.abs(dx) < FLAT * np.abs(dy))
    count = np.count_nonzero(seen)
    return rounded(np.count_nonzero(flat) / count) if count else None
