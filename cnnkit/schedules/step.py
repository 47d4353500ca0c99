"""Step: the learning rate drops in stairs."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Literal

from pydantic import Field

from cnnkit.base import Schedule
from cnnkit.base.options import Positive


class Step(Schedule):
    """Multiplies the learning rate by `scale` after every `every` whole epochs."""

    type: Literal["step"] = "step"
    every: Positive
    """Epochs between two drops."""
    scale: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What the rate is multiplied by at each drop."""

    def factor(self, epoch: float, epochs: int) -> float:
        # `epoch` counts to the end of a step: one that ends at `every` still lies before the drop.
        return float(self.scale ** max(0, ceil(epoch / self.every) - 1))
