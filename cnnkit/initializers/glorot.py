"""Glorot: keeps the variance of signals level in both directions."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Fans, Initializer
from cnnkit.initializers._spread import Distribution, spread


class Glorot(Initializer):
    """Mean 0, variance 2 / (fan_in + fan_out); suits layers without ReLU.

    Source: Glorot and Bengio, Understanding the Difficulty of Training Deep Networks (2010).
    """

    type: Literal["glorot"] = "glorot"
    distribution: Distribution = "uniform"
    """Shape of the distribution: "uniform" or "normal" (not truncated)."""

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return spread(self.distribution, 2 / (fans.fan_in + fans.fan_out), shape, rng)
