"""He: keeps the variance of signals level through ReLU."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Fans, Initializer
from cnnkit.initializers._spread import Distribution, spread


class He(Initializer):
    """Mean 0, variance 2 / fan_in; suits layers that a ReLU follows.

    Source: He et al., Delving Deep into Rectifiers (2015), equation 10.
    """

    type: Literal["he"] = "he"
    distribution: Distribution = "normal"
    """Shape of the distribution: "normal" (not truncated) or "uniform"."""

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return spread(self.distribution, 2 / fans.fan_in, shape, rng)
