"""Seed normal: the scaling of the original write-up."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Fans, Initializer


class SeedNormal(Initializer):
    """Standard normal divided by an area, as in the original write-up.

    The area is the kernel's for convolution W, the padded map's for their b, the number of inputs
    for dense W and the number of outputs for dense b. The spread shrinks with the area itself, not
    with its root as in glorot and he, so large layers start almost silent.
    """

    type: Literal["seed_normal"] = "seed_normal"

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return rng.standard_normal(shape) / fans.area
