"""Transform: changes images on their way from the dataset to the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

import numpy as np

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.base.component import Component
from cnnkit.errors import ShapeError


class Transform(Component, ABC):
    """A function of a shard of images, run by the worker that trains on it."""

    family: ClassVar[str] = "transforms"
    random: ClassVar[bool] = False
    """True for augmentations: they run in training only, and are given a generator."""
    always: ClassVar[bool] = False
    """True for an augmentation that runs in prediction too, where `rng` is None, as images have
    another shape behind it: a random crop takes the middle then."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of one image after the transform.

        Raises:
            ShapeError: where it cannot take images of `shape`.
        """
        return shape

    def range_from(self) -> tuple[float, float] | None:
        """Return the range of pixel values that it maps from; None where any will do."""
        return None

    def range_to(self, given: tuple[float, float] | None) -> tuple[float, float] | None:
        """Return the range of what it gives, for values within `given`; None where unknown."""
        return None

    def fit(self, shards: Iterable[Array]) -> Self:
        """Return the transform with what it takes from the training images filled in as options;
        itself where nothing is left to fill in.

        Asked before training. The model keeps the answer, so that prediction never asks.

        Args:
            shards: the training images as they reach the transform, (N, C, H, W) each; they are
                made as they are read, which can be done once.
        """
        return self

    @abstractmethod
    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        """Return the changed images; `x` is (N, C, H, W), uint8 or float, never modified."""


def transformed_shape(transforms: Sequence[Transform], shape: Shape) -> Shape:
    """Return the shape of one image behind all transforms.

    Raises:
        ShapeError: naming the one that cannot take what it is given.
    """
    for place, transform in enumerate(transforms):
        try:
            shape = transform.output_shape(shape)
        except ShapeError as error:
            error.place, error.path = f"transform {place + 1} ({transform.type})", (place,)
            raise
    return shape
