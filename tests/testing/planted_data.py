"""Bugs in initializers and datasets."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Literal

import numpy as np
from planted import planted

from cnnkit.base import DatasetInfo, Initializer
from cnnkit.datasets import Digits


class Cube(Initializer):
    """A third power of a normal."""

    type: Literal["cube"] = "cube"

    def draw(self, shape, fans, rng):
        return rng.standard_normal(shape) ** 3


@planted("draws_the_shape")
class SinglePrecision(Cube):
    """float32, so that a float64 model is less than it says."""

    type: Literal["single_precision"] = "single_precision"

    def draw(self, shape, fans, rng):
        return super().draw(shape, fans, rng).astype(np.float32)


@planted("same_rng_same_draw")
class OwnGenerator(Cube):
    """An unseeded generator of its own."""

    type: Literal["own_generator"] = "own_generator"

    def draw(self, shape, fans, rng):
        return super().draw(shape, fans, np.random.default_rng())


@planted("other_rng_other_draw")
class SeedZero(Cube):
    """A generator with a fixed seed."""

    type: Literal["seed_zero"] = "seed_zero"

    def draw(self, shape, fans, rng):
        return super().draw(shape, fans, np.random.default_rng(0))


class Planted(Digits):
    """Digits, changed."""

    type: Literal["planted"] = "planted"

    def change(self, split):
        return split

    def load(self, paths):
        data = super().load(paths)
        return replace(data, train=self.change(data.train), test=self.change(data.test))


@planted("images_are_nchw")
class Mirrored(Planted):
    """Images as mirrored views."""

    type: Literal["mirrored"] = "mirrored"

    def change(self, split):
        return replace(split, images=split.images[..., ::-1])


@planted("images_are_nchw")
class DoubleImages(Planted):
    """Images of float64."""

    type: Literal["double_images"] = "double_images"

    def change(self, split):
        return replace(split, images=split.images.astype(np.float64))


@planted("labels_are_classes")
class FromOne(Planted):
    """Labels counted from 1."""

    type: Literal["from_one"] = "from_one"

    def change(self, split):
        return replace(split, labels=split.labels + 1)


@planted("labels_are_classes")
class ByteLabels(Planted):
    """Labels of uint8."""

    type: Literal["byte_labels"] = "byte_labels"

    def change(self, split):
        return replace(split, labels=split.labels.astype(np.uint8))


@planted("info_is_true")
class OldInfo(Planted):
    """A info of other images."""

    type: Literal["old_info"] = "old_info"

    def info(self, paths):
        return DatasetInfo((1, 28, 28), 10)


@planted("info_loads_nothing")
class LoadsForInfo(Planted):
    """A info that loads the images to look at them."""

    type: Literal["loads_for_info"] = "loads_for_info"

    def info(self, paths):
        data = self.load(paths)
        return DatasetInfo(data.train.images.shape[1:], len(data.classes))


_LOADS = itertools.count()


@planted("loads_repeat")
class Shuffled(Planted):
    """Another order with every load."""

    type: Literal["shuffled"] = "shuffled"

    def change(self, split):
        order = np.random.default_rng(next(_LOADS)).permutation(len(split))
        return replace(split, images=split.images[order], labels=split.labels[order])
