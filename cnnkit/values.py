"""The values of pixels: the range that transforms map from, and that a model was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import inf, isfinite, prod
from typing import NamedTuple

import numpy as np

from cnnkit.arrays import FRESH, Array, locked
from cnnkit.base import Transform
from cnnkit.errors import DataError

Range = tuple[float, float]
"""The smallest and the largest value there can be."""
Seen = tuple[float, ...]
"""A range; and for images with a height and width, how bright their edges are: 0 to 1 of it."""

_NATURAL = (
    (0.0, 1.0),
    (0.0, 16.0),
    (0.0, 100.0),
    (0.0, 255.0),
    (-1.0, 1.0),
    (0.0, 4095.0),
    (0.0, 65535.0),
)
"""Ranges that images usually have; the first that holds them is probably theirs."""
_AS_TRAINED = "bring them to that range, as the training images were"
_SLACK = 1e-3
"""Share of a range by which rounding may leave it."""
_NARROW = 1 / 8
"""Share of a range that the images of a whole split fill at least, if it is theirs."""


_BRIGHTEST = 0.4
"""Share of a range that the brightest pixel of a whole split reaches at least, if it is theirs."""
_LOOKED_AT = 64
"""Images by which the range of what a transform gives is judged, where it does not say."""
_EDGE = 0.3
"""Edges below are dark, and as far from 1, bright: photographs lie between."""


def check_values(images: Array, transforms: Sequence[Transform], where: str) -> Seen:
    """Hold a split's values against what the transforms map from; return what its images look like.

    Args:
        where: the split, such as "training images of npz (data.npz)".

    Raises:
        DataError: where a value is not finite, or the values lie in another range.
    """
    found = find_range(images, where)
    known: Range | None = found
    declared: Range | None = None
    for number, transform in enumerate(transforms):
        wanted = transform.range_from()
        if wanted is not None and known is not None:
            if number == 0:
                declared = wanted
            own = known is found
            dark = own and images.dtype != np.uint8  # bytes are 0..255, and pictures may be dark
            narrowest = _BRIGHTEST if dark else _NARROW
            if misfit := _judge(known, wanted, transform, number, where * own, narrowest):
                raise DataError(
                    f"{misfit.message}\n   = expected: {misfit.expected}\n"
                    f"   = got: {_show(known)}\n   = help: {misfit.help}"
                )
        known = transform.range_to(known)
        if known is None and transforms[number + 1 :]:
            known = _measured(images[:_LOOKED_AT], transforms[: number + 1], where)
    whole = declared or natural_range(found, images.dtype)
    return *whole, *_edges(images, whole)


def misfits(transforms: Sequence[Transform]) -> Iterator[Misfit]:
    """Yield the transforms that map from another range than those before them give, as far as that
    can be known without images."""
    known: Range | None = None
    for number, transform in enumerate(transforms):
        wanted = transform.range_from()
        if wanted and known and (one := _judge(known, wanted, transform, number, "", _NARROW)):
            yield one
        known = transform.range_to(known)


def unscaled(images: Array, transforms: Sequence[Transform]) -> bool:
    """Return whether bytes reach the network as they are, for all that the transforms say."""
    known: Range | None = (0.0, 255.0)
    for transform in transforms:
        known = transform.range_to(known)
    return images.dtype == np.uint8 and known is not None and known[1] - known[0] >= 255


def _measured(x: Array, transforms: Sequence[Transform], where: str) -> Range:
    """Return the range of what the transforms give."""
    rng = np.random.default_rng(0)
    for transform in transforms:
        x = transform.fit([x]).apply(locked(x), rng, FRESH)
    return find_range(x, where)


def _edges(images: Array, whole: Range) -> list[float]:
    """Return how bright the outermost pixels are on average, 0 to 1 of the range."""
    if images.ndim != 4 or min(images.shape[2:]) < 3 or not images.size or whole[0] == whole[1]:
        return []
    places = _outermost(*images.shape[2:])
    # np.mean takes four times as long for one image
    total = np.add.reduce(images.reshape(-1, prod(images.shape[2:])).take(places, 1), None, float)
    mean = float(total) / (len(places) * len(images) * images.shape[1])
    return [(mean - whole[0]) / (whole[1] - whole[0])]


@lru_cache(8)
def _outermost(H: int, W: int) -> Array:
    """Return where in a map, laid flat, its first and last rows and columns are."""
    places = np.arange(H * W).reshape(H, W)
    return np.concatenate([places[[0, -1]], places[:, [0, -1]].T], axis=None)


def find_range(images: Array, where: str) -> Range:
    """Return the smallest and the largest value.

    Raises:
        DataError: naming the first image with a value that is not finite.
    """
    if not images.size:
        return inf, -inf
    low, high = float(images.min()), float(images.max())
    if isfinite(low) and isfinite(high):
        return low, high
    finite = np.isfinite(images.reshape(len(images), -1)).all(axis=1)
    bad = np.flatnonzero(~finite)
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    raise DataError(
        f"{where}: image {bad[0]}{more} holds values that are not finite\n"
        f"   = expected: finite numbers\n   = help: mend or leave out these images"
    )


def natural_range(found: Range, dtype: np.dtype[np.generic], narrowest: float = _NARROW) -> Range:
    """Return the range that images with these values probably have."""
    if dtype == np.uint8:
        return 0.0, 255.0
    for low, high in _NATURAL:
        if low <= found[0] and found[1] <= high and found[1] - found[0] >= narrowest * (high - low):
            return low, high
    half = (found[1] - found[0]) / 2
    if found[0] >= 0:
        return 0.0, found[1] + half
    return found[0] - half, found[1] + half


def check_like(images: Array, trained: Seen, where: str, help: str = _AS_TRAINED) -> str:
    """Hold images for prediction against those that a model was trained on; return a warning where
    they are merely unlikely to be of that range, or are bright where those were dark, else "".

    Raises:
        DataError: where a value is not finite, or they cannot be of that range.
    """
    low, high = find_range(images, where)
    width = trained[1] - trained[0]
    if low > high or (_within((low, high), trained) and high - low >= _NARROW * width):
        return _turned(images, trained, where)
    said = f"{where}: values lie within {_show((low, high))}, but the model was trained on "
    said += f"images of {_show(trained)}"
    is_unit = images.dtype.kind == "f" and low >= 0 and high <= 1 < _NARROW * trained[1]
    if not _within((low, high), trained) or (is_unit and low < high):
        raise DataError(
            f"{said}\n   = expected: values as in training, within {_show(trained)}\n"
            f"   = help: {help}"
        )
    return said if low < high else ""


def _turned(images: Array, trained: Seen, where: str) -> str:
    """Return a warning where the edges are bright though those in training were dark, or the other
    way round: most likely black on white where white on black was learned."""
    edges, usual = _edges(images, (trained[0], trained[1])), trained[2:]
    for one, other in zip(edges, usual, strict=False):
        if min(one, other) <= _EDGE and max(one, other) >= 1 - _EDGE:
            words = ("bright", "dark") if one > other else ("dark", "bright")
            return (
                f"{where}: the edges of the images are {words[0]}, those of the training images "
                f"{words[1]}; where light and dark are exchanged, invert the images"
            )
    return ""


class Misfit(NamedTuple):
    """A transform, by its place, that is given values of another range than it maps from."""

    place: int
    message: str
    expected: str
    help: str


def _judge(
    known: Range, wanted: Range, transform: Transform, place: int, where: str, narrowest: float
) -> Misfit | None:
    """Return why a transform would map values to somewhere else than it says; None if it does not.

    Args:
        where: what the values are, "" where other transforms have made them.
    """
    width = wanted[1] - wanted[0]
    narrow = 0 < known[1] - known[0] < narrowest * width
    if _within(known, wanted) and not narrow:
        return None
    what = where or f"what reaches the transform {transform.type}"
    better = natural_range(known, np.dtype(float), narrowest)
    remedy = f"give {transform.type} the range = [{better[0]:g}, {better[1]:g}]"
    if not where:
        remedy = f"leave out one of the transforms, or where both are meant, {remedy}"
    message = f"values lie within {_show(known)}, but {transform.type} maps from {_show(wanted)}"
    return Misfit(place, f"{what}: {message}", f"values that fill {_show(wanted)}", remedy)


def _within(inner: Range, outer: Seen) -> bool:
    slack = _SLACK * (outer[1] - outer[0])
    return outer[0] - slack <= inner[0] and inner[1] <= outer[1] + slack


def _show(values: Seen) -> str:
    return f"{values[0]:g}..{values[1]:g}"
