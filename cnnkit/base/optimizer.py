"""Optimizer: turns gradients into new weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

from pydantic import Field, SerializeAsAny

from cnnkit.arrays import Array
from cnnkit.base.component import Component, Option, Table, child, default
from cnnkit.base.schedule import Schedule

State = dict[str, dict[str, Array]]
"""`{slot: {path: array}}`, for instance `{"velocity": {"0_conv/W": ...}}`."""


class Optimizer(Component, ABC):
    """Updates exactly the arrays that received a gradient, in place."""

    family: ClassVar[str] = "optimizers"
    elementwise: ClassVar[bool] = False
    """True where every weight's update reads only its own gradient and state: the engine may
    then hand over slices of the arrays, on several threads."""

    lr: Annotated[float, Field(ge=0)]
    """Learning rate: the step size before the schedule."""
    schedule: Option[Schedule | Table, Annotated[SerializeAsAny[Schedule], child("schedules")]] = (
        default("constant")
    )
    """How the learning rate changes over training."""

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
