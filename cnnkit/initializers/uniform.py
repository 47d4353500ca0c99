"""Uniform: equally likely values between two limits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cnnkit.arrays import Array, Shape
from cnnkit.base import Fans, Initializer

Size = Annotated[float, Field(ge=-1e6, le=1e6)]  # far from where float32 overflows


class Uniform(Initializer):
    """Uniform distribution over [low, high)."""

    type: Literal["uniform"] = "uniform"
    low: Size = -0.05
    """Smallest value."""
    high: Size = 0.05
    """Upper limit, itself not drawn."""

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got low = {self.low}, high = {self.high}")
        return self

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return rng.uniform(self.low, self.high, shape)
