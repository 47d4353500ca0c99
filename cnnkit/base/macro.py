"""Macro: a layer that stands for other layers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base.context import Context
from cnnkit.base.layer import Backward, Layer


class Macro(Layer, ABC):
    """A layer whose whole meaning is `lower()`: the composition it stands for.

    Shapes, weights and derivatives all come from there, so a macro writes nothing else.
    """

    @abstractmethod
    def lower(self) -> Layer:
        """Return the layers this one stands for, lowered themselves; never `self`."""

    def output_shape(self, shape: Shape) -> Shape:
        return self.lower().output_shape(shape)

    def init_weights(self, shape: Shape, rng: np.random.Generator) -> Weights:
        return self.lower().init_weights(shape, rng)

    def macs(self, shape: Shape) -> int:
        return self.lower().macs(shape)

    def weight_count(self, shape: Shape) -> int:
        return self.lower().weight_count(shape)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        return self.lower().forward(x, w, ctx)
