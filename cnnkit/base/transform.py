"""Transform: changes images on their way from the dataset to the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.base.component import Component


class Transform(Component, ABC):
    """A function of a shard of images, run by the worker that trains on it."""

    family: ClassVar[str] = "transforms"
    random: ClassVar[bool] = False
    """True for augmentations: they run in training only, and are given a generator."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of one image after the transform."""
        return shape

    def range_from(self) -> tuple[float, float] | None:
        """Return the range of pixel values that it maps from; None where any will do."""
        return None

    def range_to(self, given: tuple[float, float] | None) -> tuple[float, float] | None:
        """Return the range of what it gives, for values within `given`; None where unknown."""
        return None

    @abstractmethod
    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        """Return the changed images; `x` is (N, C, H, W), uint8 or float, never modified."""
