"""Initializer: draws initial weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import SerializeAsAny

from cnnkit.arrays import Array, Shape
from cnnkit.base.component import Component, Option, Table, child


@dataclass(frozen=True, slots=True)
class Fans:
    """What an initializer may know of the array it fills.

    Args:
        fan_in: inputs that feed one output.
        fan_out: outputs that one input feeds.
        area: what the original write-up divides by: the kernel's area (convolution kernels), the
            padded map's (their bias), the number of inputs (dense W) or of outputs (dense b).
    """

    fan_in: int
    fan_out: int
    area: int


class Initializer(Component, ABC):
    """A distribution over arrays; tested by its moments."""

    family: ClassVar[str] = "initializers"

    @abstractmethod
    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        """Return an array of `shape`, float64; the model casts it."""


Init = Option[Initializer | Table, Annotated[SerializeAsAny[Initializer], child("initializers")]]
"""The option type of a layer's initializers."""
