"""Transform: changes images on their way from the dataset to the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.base.component import Component
from cnnkit.errors import ShapeError

if TYPE_CHECKING:
    from cnnkit.base.loss import Loss


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

    def views(self, x: Array) -> Sequence[Array]:
        """Return the forms of `x` over which prediction may average, itself first and of the same
        shape: a flip gives x and its mirror image. Where there is nothing to choose, x alone."""
        return [x]

    @abstractmethod
    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        """Return the changed images; `x` is (N, C, H, W), uint8 or float, never modified."""


class BatchTransform(Transform, ABC):
    """An augmentation that mixes the images of a shard, and the targets with them.

    It runs in training only, behind all transforms of single images. A shard's images are mixed
    among themselves, so that results do not depend on the threads; the loss must be `soft`.
    """

    random: ClassVar[bool] = True

    def range_to(self, given: tuple[float, float] | None) -> tuple[float, float] | None:
        """Return `given`: a mean of images, or a patchwork, stays within their range."""
        return given

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        """Return `x`: images without targets stay as they are."""
        return x

    @abstractmethod
    def apply_batch(
        self, x: Array, targets: Array, rng: np.random.Generator, scratch: Scratch
    ) -> tuple[Array, Array]:
        """Return the changed images and targets in new arrays of the same shapes and dtype.

        Args:
            x: a shard of images (N, C, H, W) as the first layer would see them.
            targets: (N, classes), the share of each class in each image; rows add up to 1.
        """


def hard_to_mix(loss: Loss, transforms: Sequence[Transform]) -> str:
    """Say that a loss cannot take what the transforms make of the targets; mostly ""."""
    for transform in transforms:
        if isinstance(transform, BatchTransform) and not loss.soft:
            return f"{transform.type} mixes the targets, and {loss.type} takes labels only"
    return ""


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
