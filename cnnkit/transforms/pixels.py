"""Transforms of pixel values."""

from __future__ import annotations  # else numpy.random is imported with it, whoever needs it

from abc import ABC
from collections.abc import Iterable
from math import log
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.base import Synonyms, Transform
from cnnkit.errors import DataError, ShapeError

Pixel = Annotated[float, Field(ge=-1e9, le=1e9)]
Bound = Annotated[float, Field(ge=-1000, le=1000)]
Rate = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]


def wide(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """Return the float dtype to compute in: the images' own, or float32."""
    # float16 keeps three digits only
    return dtype if dtype.kind == "f" and dtype.itemsize >= 4 else np.dtype(np.float32)


def require_rising(range: Range) -> None:
    """Refuse a range that does not rise.

    Raises:
        ValueError: showing it.
    """
    if range[1] - range[0] < 1e-6:
        raise ValueError(f"range must rise, got {list(range)}")


class Scale(Transform):
    """Map `range` linearly onto [low, high]. (C, H, W) -> (C, H, W)

    uint8 and float16 images become float32; wider floats keep their dtype. With the default
    bounds the result is `x / 255 - 0.5`, rounded once.
    """

    type: Literal["scale"] = "scale"

    low: Bound = -0.5
    """What the smallest pixel becomes."""
    high: Bound = 0.5
    """What the largest pixel becomes; above `low`."""
    range: tuple[Pixel, Pixel] = Field(default=(0.0, 255.0), strict=False)
    """Values of the smallest and the largest pixel there can be; the data is held against it."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high - self.low < 1e-6:
            raise ValueError(f"high must be above low, got low = {self.low} and high = {self.high}")
        require_rising(self.range)
        return self

    def range_from(self) -> Range:
        return self.range

    def range_to(self, given: Range | None) -> Range:
        return self.low, self.high

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        y = scratch.empty(x.shape, wide(x.dtype))
        first, last = self.range
        divisor = (last - first) / (self.high - self.low)
        # Subtract first: for the usual bounds (x - 127.5) is exact, and dividing rounds once.
        # Multiplying by 1/255 would round twice, for 1.2 times the speed (64 against 57 us for
        # 256 images of 28x28); a table of 256 values is exact too, but three times slower.
        np.copyto(y, x)
        np.subtract(y, y.dtype.type(first - self.low * divisor), out=y)
        np.divide(y, y.dtype.type(divisor), out=y)
        return y


class Normalize(Transform):
    """Bring each channel to mean 0 and standard deviation 1. (C, H, W) -> (C, H, W)

    y = (x - mean) / std, mean and deviation those of the training images: found before training,
    and kept in the model. Floats come out, as of scale.

    >>> x = np.array([[[[1, 3]]]], np.uint8)
    >>> fitted = Normalize().fit([x])
    >>> fitted.mean, fitted.std, fitted.apply(x, None, Scratch()).tolist()
    ([2.0], [1.0], [[[[-1.0, 1.0]]]])
    """

    type: Literal["normalize"] = "normalize"
    synonyms: ClassVar[Synonyms] = {
        "normalize": "normalise normalization standardize standardise standardization"
    }

    mean: Annotated[list[Pixel], Field(min_length=1)] | None = None
    """What is subtracted, a number per channel; by default the training images' mean."""
    std: Annotated[list[Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=1)] | None = None
    """What is divided by, a number per channel; by default the training images' standard
    deviation, or 1 for a channel that is the same everywhere."""

    @model_validator(mode="after")
    def _both(self) -> Self:
        if len(self.mean or ()) != len(self.std or ()):
            raise ValueError("mean and std must be given together, one number each per channel")
        return self

    def output_shape(self, shape: Shape) -> Shape:
        if self.mean is not None and len(self.mean) != shape[0]:
            raise ShapeError(
                f"has numbers for {len(self.mean)} channels, but images have {shape[0]}",
                option="mean",
                expected=f"{shape[0]} numbers, or none: they are taken from the training images",
            )
        return shape

    def range_to(self, given: Range | None) -> Range | None:
        if given is None or self.mean is None or self.std is None:
            return None
        both = list(zip(self.mean, self.std, strict=True))
        ends = [(value - m) / s for value in given for m, s in both]
        return min(ends), max(ends)

    def fit(self, shards: Iterable[Array]) -> Self:
        if self.mean is not None:
            return self
        count, mean, square = 0, np.zeros(()), np.zeros(())  # square: summed about the mean
        for x in shards:
            channels = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).astype(np.float64)
            own, n = channels.mean(axis=1), channels.shape[1]
            off, all_ = own - mean, count + n
            # Chan et al., Updating Formulae for Computing Sample Variances (1979)
            square = square + np.square(channels - own[:, None]).sum(axis=1)
            square = square + off**2 * (count * n / all_)
            mean, count = mean + off * (n / all_), all_
        std = np.sqrt(square / max(count, 1))
        options = {"mean": mean.tolist(), "std": np.where(std > 0, std, 1.0).tolist()}
        return type(self).model_validate({"type": self.type, **options})

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        if self.mean is None or self.std is None:
            raise DataError(
                "normalize does not know the training images: train, or give it mean and std"
            )
        y = scratch.empty(x.shape, wide(x.dtype))
        mean, std = (np.array(v, y.dtype)[:, None, None] for v in (self.mean, self.std))
        np.subtract(x, mean, out=y)
        np.divide(y, std, out=y)
        return y


class _WithinRange(Transform, ABC):
    """Keeps pixels within a range that it is told."""

    range: tuple[Pixel, Pixel] = Field(default=(0.0, 255.0), strict=False)
    """Values of the smallest and the largest pixel there can be; the data is held against it."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        require_rising(self.range)
        return self

    def range_from(self) -> Range:
        return self.range

    def range_to(self, given: Range | None) -> Range:
        return self.range


class Invert(_WithinRange):
    """Turn dark into bright, y = low + high - x for a `range` of [low, high]. Same shape.

    For drawings of dark lines on white, which networks learn more easily the other way round.

    >>> Invert().apply(np.array([[[[0, 200]]]], np.uint8), None, Scratch()).tolist()
    [[[[255.0, 55.0]]]]
    """

    type: Literal["invert"] = "invert"

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        y = scratch.empty(x.shape, wide(x.dtype))
        np.subtract(y.dtype.type(sum(self.range)), x, out=y)
        return y


class Jitter(_WithinRange):
    """Vary brightness and contrast, in training only. (C, H, W) -> (C, H, W)

    y = mean + c * (x - mean) + b * (high - low), clipped to the `range` [low, high]; each image has
    its own mean, its c from [1 - contrast, 1 + contrast] and its b from [-brightness, brightness].

    >>> x = np.array([[[[100, 200]]]], np.uint8)
    >>> Jitter(brightness=0).apply(x, np.random.default_rng(0), Scratch()).round().tolist()
    [[[[97.0, 203.0]]]]
    """

    type: Literal["jitter"] = "jitter"
    random: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {
        "jitter": "colorjitter brightness contrast randombrightness randomcontrast"
    }

    brightness: Rate = 0.2
    """The most that is added or taken away, as a share of the range."""
    contrast: Rate = 0.2
    """The most by which distances from the image's mean grow or shrink, as a share."""

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        y = scratch.empty(x.shape, wide(x.dtype))
        np.copyto(y, x)
        if rng is None:
            return y
        low, high = self.range
        each = (len(x), 1, 1, 1)
        by = 1 + rng.uniform(-self.contrast, self.contrast, each)
        more = (high - low) * rng.uniform(-self.brightness, self.brightness, each)
        mean = y.mean(axis=(1, 2, 3), keepdims=True)
        y -= mean
        y *= by.astype(y.dtype)
        y += mean + more.astype(y.dtype)
        return np.clip(y, low, high, out=y)


class RandomErasing(Transform):
    """Paint over a rectangle of some images, in training only. (C, H, W) -> (C, H, W)

    Area and log of the sides' ratio are uniform, and so is the place; sides longer than the image
    are cut to its own.

    Source: Zhong et al., Random Erasing Data Augmentation (2017).

    >>> x = np.ones((1, 1, 3, 4), np.uint8)
    >>> square = RandomErasing(rate=1, area=(0.3, 0.3), aspect=1)
    >>> square.apply(x, np.random.default_rng(0), Scratch())
    array([[[[0, 0, 1, 1],
             [0, 0, 1, 1],
             [1, 1, 1, 1]]]], dtype=uint8)
    """

    type: Literal["random_erasing"] = "random_erasing"
    random: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {"random_erasing": "randomerasing cutout erase erasing"}

    rate: Rate = 0.5
    """Share of the images that lose a rectangle."""
    area: tuple[Rate, Rate] = Field(default=(0.02, 0.33), strict=False)
    """The smallest and the largest share of the image that the rectangle covers."""
    aspect: Annotated[float, Field(ge=1, le=100)] = 3.3
    """The most times that one side is as long as the other."""
    fill: Pixel = 0.0
    """What is painted, in the units that pixels have here: 0 is black before scale, and grey
    behind it."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.area[0] > self.area[1]:
            raise ValueError(f"area must not fall, got {list(self.area)}")
        return self

    def range_to(self, given: Range | None) -> Range | None:
        return within(given, self.fill)

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        y = scratch.empty(x.shape, holding(x.dtype, self.fill))
        np.copyto(y, x)
        if rng is not None:
            np.copyto(y, y.dtype.type(self.fill), where=self._mask(x.shape, rng)[:, None])
        return y

    def _mask(self, shape: Shape, rng: np.random.Generator) -> Array:
        """Draw rectangles: (N, H, W), true inside."""
        N, _, H, W = shape
        area = H * W * rng.uniform(*self.area, N)
        ratio = np.exp(rng.uniform(-log(self.aspect), log(self.aspect), N))
        hit = rng.random(N) < self.rate
        sides = np.sqrt(area * ratio), np.sqrt(area / ratio)
        rows, columns = (_spans(n, side, rng) for n, side in zip((H, W), sides, strict=True))
        mask: Array = hit[:, None, None] & rows[:, :, None] & columns[:, None, :]
        return mask


def _spans(size: int, lengths: Array, rng: np.random.Generator) -> Array:
    """Draw a stretch of about `lengths` (N,) pixels on each of N axes: (N, size), true inside."""
    whole = np.minimum(np.rint(lengths), size).astype(np.int64)[:, None]
    first = rng.integers(0, size - whole + 1)
    place = np.arange(size)
    span: Array = (place >= first) & (place < first + whole)
    return span


def within(given: Range | None, fill: float | None) -> Range | None:
    """Return the range of pixels within `given` and of what fills the rest; None: of them alone."""
    if given is None or fill is None:
        return given
    return min(given[0], fill), max(given[1], fill)


def holding(dtype: np.dtype[np.generic], fill: float | None) -> np.dtype[np.generic]:
    """Return the images' dtype, or float32 where it cannot hold what fills them."""
    fits = fill is None or (fill.is_integer() and 0 <= fill <= 255)
    return dtype if dtype == np.uint8 and fits else wide(dtype)
