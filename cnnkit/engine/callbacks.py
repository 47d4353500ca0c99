"""Callbacks at work: called after steps and epochs, their state, and the weights they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from cnnkit.arrays import Array, Weights, counted, flatten, locked, unflatten
from cnnkit.base import Callback, Metric, Training
from cnnkit.base.contract import checked_memory, checked_rate, checked_stand_in
from cnnkit.engine.progress import Position
from cnnkit.engine.update import Update
from cnnkit.errors import RunError, TrainingError


@dataclass(frozen=True, slots=True)
class Memory:
    """All that going on takes of callbacks.

    Args:
        rate: the learning rate before the schedule.
        stopped: why training has ended; "" where it goes on.
        states: the callbacks' own, by place.
        moving: the weights as the optimizer left them, where the model holds others.
    """

    rate: float
    stopped: str
    states: dict[str, dict[str, Any]]
    moving: dict[str, Array] = field(default_factory=dict)


_START = "start of "
"""What the place of a state begins with that was an epoch's first; by itself, that of the rate."""


class Callbacks:
    """The callbacks of a training; without any, nothing is done.

    Args:
        callbacks: in the order in which they are called.
        update: holds the weights that learn.
        fixed: those that do not, by path.
        rate: the optimizer's.
        metrics: computed in validation.

    Raises:
        TrainingError: where one watches a figure that is not measured, or not comparable, or begins
            after the last epoch.
    """

    def __init__(
        self,
        callbacks: Sequence[Callback],
        update: Update,
        fixed: Mapping[str, Array],
        rate: float,
        metrics: Sequence[Metric],
        epochs: int,
        seed: int,
    ) -> None:
        self._all = {f"{i}_{one.type}": one for i, one in enumerate(callbacks)}
        self._weights = {**update.weights, **fixed}
        self._rate = rate
        seen = {**update.weights, **{path: locked(w) for path, w in fixed.items()}}
        self.training = Training(
            vector=update.vector, weights=MappingProxyType(seen), layout=update.layout, rate=rate,
            epochs=epochs, higher=frozenset(m.type for m in metrics if m.better == "higher"),
            judged=self._judged, seed=seed,
        )  # fmt: skip
        self._states: dict[str, dict[str, Any]] = {}
        self._started: dict[str, dict[str, Any]] = {}  # states at the start of an epoch
        self._moving: dict[str, Array] = {}
        self._measured = ["loss", *(m.type for m in metrics if m.better)]
        for one in callbacks:
            if (name := one.watches()) not in (None, *self._measured):
                known = " or ".join(self._measured)
                raise TrainingError(f"{one.type} watches {name!r}; expected {known}")
            if one.begins() > epochs:
                what = f"{one.type} begins in epoch {one.begins()}"
                raise TrainingError(f"{what}, and there are to be {counted(epochs, 'epoch')}")

    kept = False
    """Whether the model has been given other weights than those of the last epoch."""

    @property
    def stopped(self) -> str:
        """Which callback has ended training, and why; "" while it goes on."""
        return self.training.stopped

    def begin(self) -> None:
        """Start anew, from the weights that the model holds."""
        self.training.rate, self.training.stopped, self._moving = self._rate, "", {}
        self._states, self._started = self._fresh(), {}

    def check(self, validates: bool) -> None:
        """Refuse to watch what nobody measures.

        Args:
            validates: whether there are images for validation.

        Raises:
            TrainingError: where a metric is watched, and there are no images for validation.
        """
        for one in self._all.values():
            if not validates and (name := one.watches()) not in (None, "loss"):
                raise TrainingError(
                    f"{one.type} watches {name}, which is measured on validation images, and there "
                    "are none; watch the loss, or set some aside"
                )

    def _each(self) -> Iterator[tuple[str, Callback]]:
        """Yield them as they are called, each with its place."""
        for place, one in self._all.items():
            self.training.place = place
            yield place, one

    def _fresh(self) -> dict[str, dict[str, Any]]:
        found = {}
        for place, one in self._each():
            found[place] = checked_memory(one, "init_state", one.init_state(self.training))
        return found

    def step(self, at: Position, lr: float, moved: bool) -> None:
        """Call all of them after a batch: where the weights moved, and where it was the last."""
        if moved:
            self._call("step", at, lr, {})
        if at.index == self.training.steps:
            self._call("done", at, lr, {})

    def epoch(self, at: Position, lr: float, figures: Mapping[str, Any]) -> None:
        """Call all of them after an epoch that was judged."""
        self._call("epoch", at, lr, figures)

    def _call(
        self,
        method: Literal["step", "done", "epoch"],
        at: Position,
        lr: float,
        figures: Mapping[str, Any],
    ) -> None:
        now = self.training
        now.epoch, now.index, now.step = at.epoch + 1, at.index, at.step
        now.loss, now.seconds = at.mean, at.seconds
        now.lr = lr
        for place, one in self._each():
            state = self._states[place]
            now.figures = MappingProxyType(deepcopy(figures))  # whatever those before it did
            getattr(one, method)(now, state)
            checked_memory(one, method, state)
            now.rate = checked_rate(one, method, now.rate)

    def mark(self) -> None:
        """Remember states and rate at the start of an epoch, which may have to begin again."""
        self._started = {_START + place: deepcopy(state) for place, state in self._states.items()}
        self._started[_START] = {"rate": self.training.rate}

    def go_back(self) -> None:
        """Go back to them."""
        self._states = {p.removeprefix(_START): deepcopy(s) for p, s in self._started.items()}
        now = self.training
        now.rate, now.stopped = self._states.pop("", {}).get("rate", now.rate), ""

    def show(self) -> None:
        """Put the weights that stand in for the optimizer's into the model."""
        if self._all and not self._moving:
            self._put("stand_in")

    def hide(self) -> None:
        """Put the optimizer's back."""
        for path, w in self._moving.items():
            self._weights[path][...] = w
        self._moving = {}

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show them within the block."""
        shown = bool(self._moving)
        try:
            self.show()
            yield
        finally:
            if not shown:
                self.hide()

    def keep(self) -> None:
        """Put into the model what it keeps now that training is over."""
        self.show()
        self.kept = self._put("keep")

    def _put(self, method: Literal["stand_in", "keep"]) -> bool:
        """Put what callbacks hand in into the model; return whether there was any."""
        found: dict[str, Array] = {}
        for place, one in self._each():
            got = getattr(one, method)(self.training, self._states[place])
            found |= checked_stand_in(one, method, got, self._weights)
        self._moving = {path: self._weights[path].copy() for path in found} | self._moving
        for path, w in found.items():
            self._weights[path][...] = w
        return bool(found)

    def _judged(self) -> Weights:
        place = self.training.place  # of the callback that asks
        with self.showing():
            self.training.place = place
            return unflatten({path: w.copy() for path, w in self._weights.items()})

    @property
    def memory(self) -> Memory | None:
        """What a checkpoint has to hold beside the weights, which are live; None for nothing."""
        now = self.training
        states = self._states | self._started
        return Memory(now.rate, now.stopped, states, self._moving) if self._all else None

    def restore(self, memory: Memory | None) -> None:
        """Go on with what other callbacks of the same options remembered; copied.

        Raises:
            RunError: where it is not what these remember.
        """
        fresh = self._fresh()
        given = deepcopy(memory.states) if memory else {}
        self._started = {p: given.pop(p) for p in list(given) if p.startswith(_START)}
        if given.keys() != fresh.keys():
            there, here = ", ".join(given) or "none", ", ".join(fresh) or "none"
            raise RunError(f"cannot go on with these callbacks: they were {there}, and are {here}")
        for place, state in fresh.items():
            then = flatten(given[place])
            for path, value in flatten(state).items():
                if _kind(then.get(path)) != _kind(value):
                    what = f"{path} is not what it was"
                    raise RunError(f"cannot go on with the state of {place}: {what}")
        self._states, self._moving = given, {}
        if memory:
            self.training.rate, self.training.stopped = memory.rate, memory.stopped


def _kind(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype
    return "number" if isinstance(value, int | float) else None
