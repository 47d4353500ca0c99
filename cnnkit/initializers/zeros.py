"""Zeros: what biases usually start from."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Fans, Initializer


class Zeros(Initializer):
    """All zeros. Meant for biases: equal kernels would stay equal for ever."""

    type: Literal["zeros"] = "zeros"

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return np.zeros(shape)
