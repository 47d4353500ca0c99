"""The built-in learning-rate schedules, registered through the same hook as anybody else's."""

from math import ceil, cos, pi
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cnnkit.base import Positive, Schedule, Synonyms
from cnnkit.hookspecs import hookimpl


class Constant(Schedule):
    """The same learning rate throughout, warm-up aside."""

    type: Literal["constant"] = "constant"

    def factor(self, epoch: float, epochs: int) -> float:
        return 1.0


class Cosine(Schedule):
    """Falls from 1 to `floor` along half a cosine wave, which it reaches with the end of training.

    factor = floor + (1 - floor) * (1 + cos(pi * epoch / epochs)) / 2. The last step takes the rate
    of its middle, so that it is none of rate 0.

    Source: Loshchilov and Hutter, SGDR (2017), equation 5, one cycle.

    >>> [round(Cosine().factor(epoch, 4), 3) for epoch in (0, 1, 2, 3, 4)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
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


class Multistep(Schedule):
    """Multiplies the learning rate by `scale` after each of the `milestones`.

    >>> [Multistep(milestones=[2, 3], scale=0.5).factor(epoch, 4) for epoch in (1, 2, 2.5, 4)]
    [1.0, 1.0, 0.5, 0.25]
    """

    type: Literal["multistep"] = "multistep"
    synonyms: ClassVar[Synonyms] = {"multistep": "multisteplr piecewiseconstant milestones"}
    milestones: Annotated[list[Positive], Field(min_length=1)]
    """Whole epochs after which the rate drops, in rising order."""
    scale: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What the rate is multiplied by at each drop."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if sorted(set(self.milestones)) != self.milestones:
            raise ValueError(f"milestones must rise, got {self.milestones}")
        return self

    def factor(self, epoch: float, epochs: int) -> float:
        # as in Step: a step that ends at a milestone lies before the drop
        return float(self.scale ** sum(epoch > milestone for milestone in self.milestones))


class Linear(Schedule):
    """Falls from 1 to `floor` in a straight line, which it reaches with the end of training.

    factor = 1 - (1 - floor) * epoch / epochs. The last step takes the rate of its middle, so that
    it is none of rate 0.

    >>> [Linear(floor=0.2).factor(epoch, 4) for epoch in (0, 1, 4)]
    [1.0, 0.8, 0.2]
    """

    type: Literal["linear"] = "linear"
    synonyms: ClassVar[Synonyms] = {"linear": "linearlr lineardecay"}
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The factor at the end of training."""

    def factor(self, epoch: float, epochs: int) -> float:
        progress = min(1.0, epoch / epochs)
        return 1 - progress + self.floor * progress


class OneCycle(Schedule):
    """Climbs from `start` to 1 and falls to `floor`, each along half a cosine wave.

    For learning rates that would be too high to begin or to end with. The momentum stays as it is.

    Source: Smith and Topin, Super-Convergence (2018); shape and defaults are PyTorch's.

    >>> one = OneCycle(rise=0.25, start=0.1, floor=0.0)
    >>> [round(one.factor(epoch, 4), 3) for epoch in (0, 0.5, 1, 2.5, 4)]
    [0.1, 0.55, 1.0, 0.5, 0.0]
    """

    type: Literal["one_cycle"] = "one_cycle"
    synonyms: ClassVar[Synonyms] = {"one_cycle": "onecycle onecyclelr superconvergence"}
    rise: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of the training in which the rate climbs."""
    start: Annotated[float, Field(gt=0, le=1)] = 0.04
    """The factor at the start of training."""
    floor: Annotated[float, Field(ge=0, le=1)] = 4e-6
    """The factor at the end of training."""

    def factor(self, epoch: float, epochs: int) -> float:
        progress = min(1.0, epoch / epochs)
        if progress < self.rise:
            return _wave(self.start, 1.0, progress / self.rise)
        return _wave(1.0, self.floor, (progress - self.rise) / (1 - self.rise))


def _wave(first: float, last: float, share: float) -> float:
    """Return what lies at `share` of the way from `first` to `last`, along half a cosine wave."""
    return last + (first - last) * (1 + cos(pi * share)) / 2


@hookimpl
def cnnkit_schedules() -> list[type[Schedule]]:
    """Return the schedules that come with cnnkit."""
    return [Constant, Step, Multistep, Linear, Cosine, OneCycle]
