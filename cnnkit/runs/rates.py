"""Rates: a learning-rate range test, a short training that leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cnnkit.arrays import Array
from cnnkit.engine.nonfinite import NonFiniteError
from cnnkit.engine.progress import Position, Progress
from cnnkit.engine.trainer import Trainer
from cnnkit.plugins import find_component
from cnnkit.runs.prepare import Prepared, in_spec
from cnnkit.runs.session import trainer_of
from cnnkit.workers import Threads

FIRST, LAST, COUNT = 1e-6, 10.0, 200
"""The rates, and how many there are."""
_IMAGES = 16
"""A loss says little of fewer images: at each rate so many are trained on, at least."""
_WORSE, _MEMORY = 4.0, 0.9
"""The test ends where the loss is so many times its lowest, each step counting so much less than
the next one."""
_BLUR = 0.25
"""Decades of the rate over which its curve is smoothed, on either side."""
_LEAST = 0.1
"""Share of the first loss that it has to fall by."""


@dataclass
class RangeTest:
    """The mean loss at each rate, and why there are no more of them."""

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    ended: str = ""

    def smoothed(self) -> Array:
        """Return the losses without most of their noise: averaged under a bell curve."""
        at = np.log10(self.rates)
        bells = np.exp(-0.5 * ((at[:, None] - at) / _BLUR) ** 2)
        found: Array = bells @ np.array(self.losses) / bells.sum(1)
        return found

    def suggestion(self) -> float | None:
        """Return the rate, to two digits, at which the loss falls fastest; None where it does not
        fall.

        Source: Smith, Cyclical Learning Rates for Training Neural Networks (2017), section 3.3.
        """
        losses = self.smoothed()
        lowest = int(losses.argmin())
        if losses[0] - losses[lowest] <= _LEAST * abs(losses[0]):
            return None
        slopes = np.gradient(losses[: lowest + 1], np.log10(self.rates[: lowest + 1]))
        return float(f"{self.rates[int(slopes.argmin())]:.2g}")


def range_test(ready: Prepared) -> RangeTest:
    """Train with a rate that grows from `FIRST` to `LAST` by the same factor from step to step.

    Optimizer, batch and seed are the spec's; schedule and callbacks are left out.

    Raises:
        TrainingError: where a loss is not finite from the start.
    """
    spec = ready.spec
    together = max(spec.optimizer.accumulate, -(-_IMAGES // spec.train.batch))
    epochs = -(-COUNT * together // -(-len(ready.train) // spec.train.batch))
    constant = find_component("schedules", "constant")
    optimizer = spec.optimizer.model_copy(update={"lr": FIRST, "schedule": constant})
    how = {"epochs": epochs, "callbacks": [], "on_nonfinite": "stop"}
    train = spec.train.model_copy(update=how)
    spec = spec.model_copy(update={"optimizer": optimizer, "train": train})
    climb = _Climb(together)
    with in_spec(spec), Threads(spec.train.threads) as threads:
        climb.trainer = trainer_of(spec, ready.model, threads, climb)
        try:
            for _ in climb.trainer.run(ready.train, None):
                continue
        except NonFiniteError:
            if len(climb.found.rates) < 2:
                raise
            climb.found.ended = "the loss is not finite any more"
    return climb.found


class _Climb:
    """Watches a training, and lets its rate grow.

    Args:
        together: steps at each rate.
    """

    trainer: Trainer

    def __init__(self, together: int) -> None:
        self.found = RangeTest()
        self._together, self._step, self._before = together, 0, Position()
        self._samples, self._total = 0, 0.0
        self._recent, self._lowest = 0.0, np.inf

    def __call__(self, progress: Progress) -> None:
        """Note the loss of a step; where its rate has had its share, take the next one."""
        at, training = self.trainer.position, self.trainer.callbacks.training
        before = self._before if at.index > 1 else Position()
        self._samples += at.samples - before.samples
        self._total += at.total - before.total
        self._before, self._step = at, self._step + 1
        if self._step % self._together:
            return
        self._note(training.rate, self._total / self._samples)
        self._samples, self._total = 0, 0.0
        training.rate = FIRST * (LAST / FIRST) ** (len(self.found.rates) / (COUNT - 1))
        if self.found.ended:
            training.stop(self.found.ended)

    def _note(self, rate: float, loss: float) -> None:
        self.found.rates.append(rate)
        self.found.losses.append(loss)
        count = len(self.found.rates)
        self._recent = _MEMORY * self._recent + (1 - _MEMORY) * loss
        recent = self._recent / (1 - _MEMORY**count)
        self._lowest = min(self._lowest, recent)
        if recent > _WORSE * self._lowest:
            self.found.ended = f"the loss is {_WORSE:g} times its lowest"
        elif count == COUNT:
            self.found.ended = f"the rate is {rate:g}"
