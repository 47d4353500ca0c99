"""Cosine: the learning rate falls smoothly to its floor."""

from __future__ import annotations

from math import cos, pi
from typing import Annotated, Literal

from pydantic import Field

from cnnkit.base import Schedule


class Cosine(Schedule):
    """Falls from 1 to `floor` along half a cosine wave, reaching it with the last step.

    factor = floor + (1 - floor) * (1 + cos(pi * epoch / epochs)) / 2.

    Source: Loshchilov and Hutter, SGDR (2017), equation 5, one cycle.
    """

    type: Literal["cosine"] = "cosine"
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The factor at the end of training."""

    def factor(self, epoch: float, epochs: int) -> float:
        progress = min(1.0, epoch / epochs)
        return self.floor + (1 - self.floor) * (1 + cos(pi * progress)) / 2
