"""Optimizer: turns gradients into new weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

from pydantic import Field, SerializeAsAny

from cnnkit.arrays import Array
from cnnkit.base.component import Component, Option, Positive, Table, child, default
from cnnkit.base.schedule import Schedule

State = dict[str, dict[str, Array]]
"""`{slot: {path: array}}`, for instance `{"velocity": {"0_conv/W": ...}}`."""


class Optimizer(Component, ABC):
    """Updates exactly the arrays that received a gradient, in place."""

    family: ClassVar[str] = "optimizers"
    elementwise: ClassVar[bool] = False
    """True where every weight's update reads only its own gradient and state: the engine may
    then hand over slices of the arrays, on several threads."""
    at_a_time: ClassVar[int] = 32768
    """Numbers that an elementwise update is given at a time: weights, state and sums stay in the L2
    cache from one of NumPy's calls to the next."""
    adds: ClassVar[bool] = False
    """True where an elementwise `update` takes a list of gradients for a path, too: those of the
    shards, to be added up in their order."""

    lr: Annotated[float, Field(ge=0)]
    """Learning rate: the step size before the schedule."""
    schedule: Option[Schedule | Table, Annotated[SerializeAsAny[Schedule], child("schedules")]] = (
        default("constant")
    )
    """How the learning rate changes over training."""
    clip: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """The most that the norm of all gradients together may be; longer ones are made that long."""
    clip_value: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """The largest size of any number in a gradient; clipped before `clip` is applied."""
    accumulate: Positive = 1
    """Batches whose gradients are averaged for one update: as one batch so many times as large, in
    the memory of one. The last update of an epoch takes what is left."""

    @property
    def waits(self) -> bool:
        """Whether an update waits for the gradients of all weights."""
        return self.accumulate > 1 or self.clip is not None or self.clip_value is not None

    def init_state(self, weights: dict[str, Array]) -> State:
        """Return fresh state for `{path: array}`; every array shaped like its weight."""
        return {}

    @abstractmethod
    def update(
        self, weights: dict[str, Array], grads: dict[str, Array], state: State, lr: float, step: int
    ) -> None:
        """Move `weights[path]` in place for every path in `grads`.

        Args:
            grads: gradients of the mean loss; may be used as scratch memory.
            lr: the learning rate of this step, schedule included.
            step: steps done before this one, over the whole run.
        """
