"""Normal: a Gaussian that ignores the layer's size."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Shape
from cnnkit.base import Fans, Initializer


class Normal(Initializer):
    """Normal distribution with the given mean and standard deviation."""

    type: Literal["normal"] = "normal"
    mean: Annotated[float, Field(ge=-1e6, le=1e6)] = 0.0
    """Mean of the distribution."""
    std: Annotated[float, Field(ge=0, le=1e6)] = 0.05
    """Standard deviation of the distribution."""

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.std, shape)
