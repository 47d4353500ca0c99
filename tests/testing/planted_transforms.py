"""Bugs in transforms."""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from planted import planted
from pydantic import Field

from cnnkit.base import BatchTransform, Transform


class Flip(Transform):
    """Upside down, in float32."""

    type: Literal["upside_down"] = "upside_down"

    def apply(self, x, rng, scratch):
        y = scratch.empty(x.shape, np.float32)
        y[...] = x[:, :, ::-1]
        return y


@planted("transform_shape_is_real")
class Grows(Flip):
    """A border that output_shape does not know of."""

    type: Literal["grows"] = "grows"

    def apply(self, x, rng, scratch):
        return np.pad(super().apply(x, rng, scratch), [(0, 0), (0, 0), (1, 1), (1, 1)])


@planted("transform_input_unmodified")
class FlipsInPlace(Flip):
    """Writes into the images."""

    type: Literal["flips_in_place"] = "flips_in_place"

    def apply(self, x, rng, scratch):
        x[...] = x[:, :, ::-1].copy()
        return super().apply(x, rng, scratch)


@planted("transform_dtype")
class Doubles(Flip):
    """float64 out."""

    type: Literal["doubles"] = "doubles"

    def apply(self, x, rng, scratch):
        return super().apply(x, rng, scratch) / np.float64(255)


@planted("transform_bytes_equal_floats")
class Brightens(Transform):
    """Adds 40 in the images' own type: 250 becomes 34."""

    type: Literal["brightens"] = "brightens"

    def apply(self, x, rng, scratch):
        return x + x.dtype.type(40)


@planted("transform_bytes_equal_floats")
class CentresBytes(Transform):
    """Subtracts 128 before it leaves uint8."""

    type: Literal["centres_bytes"] = "centres_bytes"

    def apply(self, x, rng, scratch):
        return (x - x.dtype.type(128)).astype(np.float32) / np.float32(128)


@planted("transform_scratch")
class TrustsScratch(Flip):
    """Adds to scratch memory that it takes for zeros."""

    type: Literal["trusts_scratch"] = "trusts_scratch"

    def apply(self, x, rng, scratch):
        y = scratch.empty(x.shape, np.float32)
        y += x
        return y


@planted("transform_randomness")
class NotRandom(Flip):
    """Says `random`, and is not."""

    type: Literal["not_random"] = "not_random"
    random: ClassVar[bool] = True


_SHARDS = itertools.count()


@planted("transform_randomness")
class Unseeded(Flip):
    """Noise that depends on how many shards came before."""

    type: Literal["unseeded"] = "unseeded"
    random: ClassVar[bool] = True

    def apply(self, x, rng, scratch):
        noise = np.random.default_rng(next(_SHARDS)).random(x.shape, np.float32)
        return super().apply(x, rng, scratch) + noise


@planted("transform_non_contiguous")
class StridedFlip(Flip):
    """x is read as if it were C-contiguous."""

    type: Literal["strided_flip"] = "strided_flip"

    def apply(self, x, rng, scratch):
        plain = as_strided(x, strides=np.empty_like(x, order="C").strides)
        return super().apply(plain, rng, scratch)


@planted("transform_of_singles")
class Centred(Flip):
    """Subtracts the mean of the shard."""

    type: Literal["centred"] = "centred"

    def apply(self, x, rng, scratch):
        y = super().apply(x, rng, scratch)
        return y - y.mean(axis=0)


@planted("transform_shape_in_prediction")
class CutsInTraining(Flip):
    """Cuts a row off at random, and is not asked in prediction."""

    type: Literal["cuts_in_training"] = "cuts_in_training"
    random: ClassVar[bool] = True

    def output_shape(self, shape):
        return shape[0], shape[1] - 1, shape[2]

    def apply(self, x, rng, scratch):
        first = int(rng.integers(0, 2))
        return super().apply(x, rng, scratch)[:, :, first : first + x.shape[2] - 1]


@planted("transform_fit")
class LastShard(Flip):
    """Takes the mean of the last shard for that of all."""

    type: Literal["last_shard"] = "last_shard"
    mean: Annotated[float, Field(ge=-1e9, le=1e9)] | None = None
    """What is subtracted."""

    def fit(self, shards):
        if self.mean is not None:
            return self
        *_, last = shards
        return type(self)(mean=float(last.mean()))

    def apply(self, x, rng, scratch):
        y = scratch.empty(x.shape, np.float64 if x.dtype == np.float64 else np.float32)
        y[...] = x
        y -= y.dtype.type(self.mean)
        return y


@planted("transform_range_is_real")
class Darkens(Flip):
    """Takes away up to 50, and promises what it was given."""

    type: Literal["darkens"] = "darkens"
    random: ClassVar[bool] = True

    def range_to(self, given):
        return given

    def apply(self, x, rng, scratch):
        return super().apply(x, rng, scratch) - np.float32(rng.uniform(0, 50))


class Pairs(BatchTransform):
    """The mean of each image and its neighbour, targets alike."""

    type: Literal["pairs"] = "pairs"

    def apply_batch(self, x, targets, rng, scratch):
        by = int(rng.integers(1, 4))
        y = scratch.empty(x.shape, x.dtype)
        np.add(x, np.roll(x, by, axis=0), out=y)
        y /= 2
        return y, (targets + np.roll(targets, by, axis=0)) / 2


@planted("batch_targets")
class SumsTargets(Pairs):
    """Adds the targets, and does not halve the sum."""

    type: Literal["sums_targets"] = "sums_targets"

    def apply_batch(self, x, targets, rng, scratch):
        y, mixed = super().apply_batch(x, targets, rng, scratch)
        return y, 2 * mixed


@planted("transform_views")
class RandomView(Flip):
    """A view that is another one every time."""

    type: Literal["random_view"] = "random_view"

    def views(self, x):
        return [x, np.roll(x, next(_SHARDS), axis=2)]
