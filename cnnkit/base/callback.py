"""Callback: may change training, after each step and after each epoch."""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from cnnkit.arrays import Array, FlatLayout, Weights
from cnnkit.base.component import Component
from cnnkit.base.context import generator


@dataclass(kw_only=True, slots=True)
class Training:
    """What a callback sees of training, and by what it changes it: `vector` and `weights` in place,
    `rate`, and `stop`.

    Args:
        vector: all weights that learn, as one vector, as the optimizer left them.
        weights: every weight by path: views of `vector`, and those that do not learn, which are
            read-only.
        layout: where in `vector` each weight lies.
        rate: the learning rate before the schedule; another one is that of all steps to come.
        epochs: how many there shall be.
        higher: the figures of which a higher one is better; of all others, a lower one; read-only.
        judged: returns a copy of all weights, as a tree, as validation judges them: where callbacks
            let others stand in for the optimizer's, those.
        seed: of the run.
        place: the callback's among all, such as "0_ema".
        epoch: the one at hand, from 1.
        index, steps: batches done of this epoch, and how many it has.
        step: batches done over the whole run.
        loss: mean training loss of this epoch so far.
        seconds: that the batches of this epoch took.
        lr: learning rate of the last batch, schedule included.
        figures: what validation gave for this epoch, or `{"loss": training loss}` where nothing was
            set aside; empty in `step` and `done`; read-only.
        stopped: why training ends here; "" while it goes on.
    """

    vector: Array
    weights: Mapping[str, Array]
    layout: FlatLayout
    rate: float
    epochs: int
    higher: Collection[str]
    judged: Callable[[], Weights]
    seed: int = 0
    place: str = ""
    epoch: int = 1
    index: int = 0
    steps: int = 0
    step: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    lr: float = 0.0
    figures: Mapping[str, Any] = field(default_factory=dict)
    stopped: str = ""

    def stop(self, reason: str) -> None:
        """End training here: the epoch is judged and recorded as far as it got."""
        self.stopped = self.stopped or f"{self.place.partition('_')[2]}: {reason}"

    def rng(self, stream: str = "callback") -> np.random.Generator:
        """Return a generator that is a pure function of seed, epoch, step, place and stream."""
        key = self.seed, self.epoch, self.index, bool(self.figures)  # another one in `epoch`
        return generator(key, f"{stream}:{self.place}")

    def by_path(self, vector: Array) -> dict[str, Array]:
        """Return what lies in another vector like `vector`, as views by path."""
        return self.layout.views(vector)


class Callback(Component, ABC):
    """May change training; defines `step`, `done`, `epoch`, or several of them.

    Like any component it keeps nothing on itself. What it has to remember is `state`, a tree of
    dicts with arrays and plain numbers, changed in place: it is saved with each checkpoint, and a
    run that goes on goes on with it. What it draws, it draws from `training.rng()`.
    """

    family: ClassVar[str] = "callbacks"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a callback that would never be called.

        Raises:
            TypeError: naming the class.
        """
        super().__init_subclass__(**kwargs)
        final = "type" in inspect.get_annotations(cls)
        called = (cls.step, cls.done, cls.epoch)
        if final and called == (Callback.step, Callback.done, Callback.epoch):
            raise TypeError(f"{cls.__name__} is never called: define step, done or epoch")

    def watches(self) -> str | None:
        """Return the figure that it needs: "loss", or a metric's type; checked before training."""
        return None

    def begins(self) -> int:
        """Return the first epoch in which it does anything; one beyond the last is refused."""
        return 1

    def copies(self) -> int:
        """Return how many copies of all weights are kept for it, by which memory is estimated."""
        return 0

    def init_state(self, training: Training) -> dict[str, Any]:
        """Return the state before the first step."""
        return {}

    def step(self, training: Training, state: dict[str, Any]) -> None:
        """Be called after each update of the weights: after each batch, but for `accumulate` and
        for batches that are skipped."""
        return

    def done(self, training: Training, state: dict[str, Any]) -> None:
        """Be called after all batches of an epoch, whether its last one was skipped or not, before
        the epoch is judged; not where `stop` ended it before. What it draws, it draws from a stream
        of its own: `training.rng("done")`."""
        return

    def epoch(self, training: Training, state: dict[str, Any]) -> None:
        """Be called after each epoch, once it is judged."""
        return

    def stand_in(self, training: Training, state: dict[str, Any]) -> Weights | None:
        """Return weights, by path or as a tree, that stand in for the optimizer's wherever the
        model is judged or saved, while training goes on with its own; None for none. Of several
        callbacks the last one listed counts. Changes nothing."""
        return None

    def keep(self, training: Training, state: dict[str, Any]) -> Weights | None:
        """Return the weights that the model keeps once training is over, such as those of an
        earlier epoch; None for those that it has. Changes nothing."""
        return None
