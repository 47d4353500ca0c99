"""Schedule: how the learning rate changes over training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

from pydantic import Field

from cnnkit.base.component import Component
from cnnkit.base.contract import checked_factor


class Schedule(Component, ABC):
    """A factor on the learning rate, as a pure function of progress."""

    family: ClassVar[str] = "schedules"

    warmup: Annotated[float, Field(ge=0)] = 0.0
    """Epochs over which the rate climbs linearly from near zero, fractions allowed."""

    @abstractmethod
    def factor(self, epoch: float, epochs: int) -> float:
        """Return the factor after `epoch` of `epochs` epochs (fractions of epochs count)."""

    def multiplier(self, epoch: float, epochs: int) -> float:
        """Return `factor`, scaled down during warm-up; `epoch` counts to the step's end."""
        climb = min(1.0, epoch / self.warmup) if self.warmup > 0 else 1.0
        return climb * checked_factor(self, self.factor(epoch, epochs))
