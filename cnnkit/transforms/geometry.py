"""Transforms of where pixels are: mirrored, moved, cut, turned, resized."""

from __future__ import annotations  # else numpy.random is imported with it, whoever needs it

from collections.abc import Sequence
from math import radians
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from cnnkit.arrays import FRESH, Array, Scratch, Shape
from cnnkit.base import Pair, PairOrNone, Synonyms, Transform, default
from cnnkit.errors import ShapeError
from cnnkit.kernels.images import cut, resample, warp
from cnnkit.transforms.pixels import Pixel, Range, Rate, holding, wide, within

Fill = Pixel | Literal["edge"]
Pixels = Annotated[int, Field(ge=0, le=1000)]
Degrees = Annotated[float, Field(ge=0, le=180)]


class Flip(Transform):
    """Mirror some of the images, in training only. (C, H, W) -> (C, H, W)

    >>> Flip(rate=1).apply(np.array([[[[1, 2, 3]]]], np.uint8), np.random.default_rng(0), Scratch())
    array([[[[3, 2, 1]]]], dtype=uint8)
    """

    type: Literal["flip"] = "flip"
    random: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {
        "flip": "randomhorizontalflip horizontalflip hflip mirror randomflip",
        'axis = "vertical"': "randomverticalflip verticalflip vflip",
    }

    rate: Rate = 0.5
    """Share of the images that is mirrored."""
    axis: Literal["horizontal", "vertical"] = "horizontal"
    """Left becomes right, or top becomes bottom."""

    def range_to(self, given: Range | None) -> Range | None:
        return given

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        y = scratch.empty(x.shape, x.dtype)
        np.copyto(y, x)
        if rng is not None:
            hit = np.flatnonzero(rng.random(len(x)) < self.rate)
            y[hit] = self._mirrored(x)[hit]
        return y

    def views(self, x: Array) -> Sequence[Array]:
        return [x, self._mirrored(x)]

    def _mirrored(self, x: Array) -> Array:
        return x[..., ::-1] if self.axis == "horizontal" else x[..., ::-1, :]


class Shift(Transform):
    """Move each image by whole pixels, in training only. (C, H, W) -> (C, H, W)

    Down or up and across by up to `pixels`, all equally likely. Its views, for
    `[predict] average`, are the image and those `pixels` down, up, to the right and to the left.

    >>> x = np.array([[[[1, 2, 3]]]], np.uint8)
    >>> Shift(pixels=[0, 1], fill=0).apply(x, np.random.default_rng(0), Scratch())
    array([[[[2, 3, 0]]]], dtype=uint8)
    """

    type: Literal["shift"] = "shift"
    random: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {"shift": "translate randomtranslation randomtranslate"}

    pixels: Annotated[list[Pixels], Field(min_length=2, max_length=2)] | Pixels = 2
    """The most that an image moves, or [down, across]."""
    fill: Fill = "edge"
    """What comes in at the border: its outermost pixels repeated, or a number in the units that
    pixels have here: 0 is black before scale, and grey behind it."""

    def range_to(self, given: Range | None) -> Range | None:
        return within(given, _number(self.fill))

    def _most(self) -> tuple[int, int]:
        down, across = (self.pixels, self.pixels) if isinstance(self.pixels, int) else self.pixels
        return down, across

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        return _window(x, x.shape[2:], self._most(), self.fill, rng, scratch)

    def views(self, x: Array) -> Sequence[Array]:
        """Return x, and x moved down, up, to the right and to the left by `pixels`."""
        down, across = most = self._most()
        places = [(0, across), (2 * down, across)] * (down > 0)
        places += [(down, 0), (down, 2 * across)] * (across > 0)
        return [x, *(_cut(x, x.shape[2:], most, place, self.fill, FRESH) for place in places)]


class Crop(Transform):
    """Cut a window out of each image: (C, H, W) -> (C, *size); at random places in training, and
    in the middle otherwise.

    >>> x = np.array([[[[1, 2, 3]]]], np.uint8)
    >>> Crop(size=[1, 2]).apply(x, np.random.default_rng(0), Scratch())
    array([[[[2, 3]]]], dtype=uint8)

    Raises:
        ShapeError: where the window is larger than the image with its border.
    """

    type: Literal["crop"] = "crop"
    random: ClassVar[bool] = True
    always: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {"crop": "randomcrop centercrop"}

    size: PairOrNone = default(None)
    """Height and width of the window; without it, the image's own."""
    padding: Pixels = 0
    """Width of the border that is laid around an image first."""
    fill: Fill = "edge"
    """What the border is: the outermost pixels repeated, or a number, as of shift."""

    def output_shape(self, shape: Shape) -> Shape:
        C, H, W = shape
        size = self.size or (H, W)
        border = 2 * self.padding
        if size[0] > H + border or size[1] > W + border:
            raise ShapeError(
                f"cannot cut {size[0]}x{size[1]} out of {H + border}x{W + border} pixels",
                option="size",
                expected=f"at most {H + border}x{W + border}",
                help="cut less, or use more padding",
            )
        return C, *size

    def range_to(self, given: Range | None) -> Range | None:
        return within(given, _number(self.fill)) if self.padding else given

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        size = self.output_shape(x.shape[1:])[1:]
        return _window(x, size, (self.padding, self.padding), self.fill, rng, scratch)


class Affine(Transform):
    """Turn, scale and shear each image about its centre, in training only. (C, H, W) -> (C, H, W)

    All three are drawn evenly for each image. Pixels between pixels are interpolated bilinearly;
    floats come out.

    >>> x = np.array([[[[1, 2], [3, 4]]]], np.uint8)
    >>> still = Affine(rotation=0, scale=(1, 1))
    >>> still.apply(x, np.random.default_rng(0), Scratch()).tolist()
    [[[[1.0, 2.0], [3.0, 4.0]]]]
    """

    type: Literal["affine"] = "affine"
    random: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {
        "affine": "randomaffine rotate rotation randomrotation zoom randomzoom shear randomshear"
    }

    rotation: Degrees = 10.0
    """The most degrees that an image is turned, to either side."""
    scale: tuple[Annotated[float, Field(gt=0, le=100)], Annotated[float, Field(gt=0, le=100)]] = (
        Field(default=(0.9, 1.1), strict=False)
    )
    """The least and the most times that it is enlarged."""
    shear: Annotated[float, Field(ge=0, le=80)] = 0.0
    """The most degrees by which upright lines lean, to either side."""
    fill: Fill = "edge"
    """What lies outside: the outermost pixels repeated, or a number, as of shift."""

    @model_validator(mode="after")
    def _ordered(self) -> Affine:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must not fall, got {list(self.scale)}")
        return self

    def range_to(self, given: Range | None) -> Range | None:
        return within(given, _number(self.fill))

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        maps = np.tile(np.eye(2), (len(x), 1, 1)) if rng is None else self._maps(len(x), rng)
        return warp(x, maps, _number(self.fill), scratch, wide(x.dtype))

    def _maps(self, count: int, rng: np.random.Generator) -> Array:
        """Draw where pixels come from: the inverse of what is done to the image, (count, 2, 2)."""
        turn = rng.uniform(-radians(self.rotation), radians(self.rotation), count)
        times = rng.uniform(*self.scale, count)
        lean = np.tan(rng.uniform(-radians(self.shear), radians(self.shear), count))
        sin, cos = np.sin(turn) / times, np.cos(turn) / times
        # positions are (row, column): turned back first, then set upright
        return np.array([[cos, -sin], [sin + lean * cos, cos - lean * sin]]).transpose(2, 0, 1)


class Resize(Transform):
    """Bring images to another size: (C, H, W) -> (C, *size); floats come out.

    An axis that grows is interpolated linearly between pixel centres, with the outermost pixels
    repeated. On one that shrinks a new pixel is the mean of the area that it covers, so that no
    old one is lost.

    >>> x = np.array([[[[0, 100, 200, 220]]]], np.uint8)
    >>> Resize(size=[1, 2]).apply(x, None, Scratch()).tolist()
    [[[[50.0, 210.0]]]]
    """

    type: Literal["resize"] = "resize"
    synonyms: ClassVar[Synonyms] = {"resize": "resizing rescale interpolate"}

    size: Pair
    """Height and width of the new images."""

    def output_shape(self, shape: Shape) -> Shape:
        return shape[0], *self.size

    def range_to(self, given: Range | None) -> Range | None:
        return given

    def apply(self, x: Array, rng: np.random.Generator | None, scratch: Scratch) -> Array:
        return resample(x, self.size, scratch, wide(x.dtype))


def _window(
    x: Array,
    size: Shape,
    padding: tuple[int, int],
    fill: Fill,
    rng: np.random.Generator | None,
    scratch: Scratch,
) -> Array:
    """Cut a window out of each image in its border, anywhere; in the middle without `rng`."""
    (H, W), (ph, pw) = x.shape[2:], padding
    free = H + 2 * ph - size[0], W + 2 * pw - size[1]
    if rng is None:
        return _cut(x, size, padding, (free[0] // 2, free[1] // 2), fill, scratch)
    rows, columns = (rng.integers(0, n + 1, len(x)) for n in free)
    return _cut(x, size, padding, (rows, columns), fill, scratch)


def _cut(
    x: Array,
    size: Shape,
    padding: tuple[int, int],
    corners: tuple[Array | int, Array | int],
    fill: Fill,
    scratch: Scratch,
) -> Array:
    """Cut out the windows with these corners in the border: one each, or the same of all images."""
    rows, columns = (np.broadcast_to(n, len(x)) for n in corners)
    number = _number(fill)
    dtype = holding(x.dtype, number)
    return cut(x, (rows, columns), (size[0], size[1]), padding, number, scratch, dtype)


def _number(fill: float | str) -> float | None:
    """Return the number that a border is filled with; None for the image's edge."""
    return None if isinstance(fill, str) else fill
