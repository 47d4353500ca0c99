"""The built-in learning-rate schedules, registered through the same hook as anybody else's."""

from math import ceil, cos, pi
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cnnkit.base import Positive, Schedule, Synonyms
from cnnkit.hookspecs import hookimpl


class Constant(Schedule):
    """The same learning rate throughout, warm-up aside."""

    type: Literal["constant"] = "constant"

    def factor(self, epoch: float, epochs: int) -> float:
        return 1.0


class Cosine(Schedule):
    """Falls from 1 to `floor` along half a cosine wave, reaching it with the last step.

    factor = floor + (1 - floor) * (1 + cos(pi * epoch / epochs)) / 2.

    Source: Loshchilov and Hutter, SGDR (2017), equation 5, one cycle.
    """

    type: Literal["cosine"] = "cosine"
    synonyms: ClassVar[Synonyms] = {"cosine": "cos cosineannealing cosinedecay"}
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The factor at the end of training."""

    def factor(self, epoch: float, epochs: int) -> float:
        progress = min(1.0, epoch / epochs)
        return self.floor + (1 - self.floor) * (1 + cos(pi * progress)) / 2


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


@hookimpl
def cnnkit_schedules() -> list[type[Schedule]]:
    """Return the schedules that come with cnnkit."""
    return [Constant, Step, Cosine]
