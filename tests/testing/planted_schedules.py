"""Bugs in schedules."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
from planted import planted

from cnnkit.base import Schedule


@planted("factor_is_a_number")
class SingleFactor(Schedule):
    """A NumPy float32, which is no float."""

    type: Literal["single_factor"] = "single_factor"

    def factor(self, epoch, epochs):
        return np.float32(0.5)


@planted("factor_is_a_number")
class Overshoots(Schedule):
    """A line that falls below zero."""

    type: Literal["overshoots"] = "overshoots"

    def factor(self, epoch, epochs):
        return 1.0 - 1.01 * epoch / epochs


_STEPS = itertools.count()


@planted("factor_is_pure")
class Steps(Schedule):
    """Falls with every question instead of with the epoch."""

    type: Literal["steps"] = "steps"

    def factor(self, epoch, epochs):
        return 1.0 / (1 + next(_STEPS))


@planted("warm_up_starts_low", warmup=1.0)
class NoWarmUp(Schedule):
    """multiplier leaves the warm-up out."""

    type: Literal["no_warm_up"] = "no_warm_up"

    def factor(self, epoch, epochs):
        return 1.0

    def multiplier(self, epoch, epochs):
        return self.factor(epoch, epochs)
