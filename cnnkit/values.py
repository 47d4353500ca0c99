"""The values of pixels: the range that transforms map from, and that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Transform
from cnnkit.errors import DataError

Range = tuple[float, float]
"""The smallest and the largest value there can be."""

_NATURAL = ((0.0, 1.0), (0.0, 16.0), (0.0, 255.0), (-1.0, 1.0), (0.0, 4095.0), (0.0, 65535.0))
"""Ranges that images usually have; the first that holds them is probably theirs."""
_SLACK = 1e-3
"""Share of a range by which rounding may leave it."""
_NARROW = 1 / 8
"""Share of a range that the images of a whole split fill at least, if it is theirs."""


def check_values(images: Array, transforms: Sequence[Transform], where: str) -> Range:
    """Hold a split's values against what the transforms map from; return the range of its images.

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
            _judge(known, wanted, transform, where if known is found else "")
        known = transform.range_to(known)
    return declared or natural_range(found, images.dtype)


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


def natural_range(found: Range, dtype: np.dtype[np.generic]) -> Range:
    """Return the range that images with these values probably have."""
    if dtype == np.uint8:
        return 0.0, 255.0
    for low, high in _NATURAL:
        if low <= found[0] and found[1] <= high and found[1] - found[0] >= _NARROW * (high - low):
            return low, high
    half = (found[1] - found[0]) / 2
    if found[0] >= 0:
        return 0.0, found[1] + half
    return found[0] - half, found[1] + half


def check_like(images: Array, trained: Range, where: str) -> str:
    """Hold images for prediction against the range of those that a model was trained on; return a
    warning where they are merely unlikely to be of that range, else "".

    Raises:
        DataError: where a value is not finite, or they cannot be of that range.
    """
    low, high = find_range(images, where)
    width = trained[1] - trained[0]
    if low > high or (_within((low, high), trained) and high - low >= _NARROW * width):
        return ""
    said = f"{where}: values lie within {_show((low, high))}, but the model was trained on "
    said += f"images of {_show(trained)}"
    is_unit = images.dtype.kind == "f" and low >= 0 and high <= 1 < _NARROW * trained[1]
    if not _within((low, high), trained) or (is_unit and low < high):
        raise DataError(
            f"{said}\n   = expected: values as in training, within {_show(trained)}\n"
            "   = help: bring them to that range, as the training images were"
        )
    return said if low < high else ""


def _judge(known: Range, wanted: Range, transform: Transform, where: str) -> None:
    """Refuse values that a transform would map to somewhere else than it says."""
    width = wanted[1] - wanted[0]
    narrow = 0 < known[1] - known[0] < _NARROW * width
    if _within(known, wanted) and not narrow:
        return
    what = where or f"what reaches the transform {transform.type}"
    better = natural_range(known, np.dtype(float))
    remedy = f"give {transform.type} the range = [{better[0]:g}, {better[1]:g}]"
    if not where:
        remedy = f"leave out one of the transforms, or {remedy}"
    raise DataError(
        f"{what}: values lie within {_show(known)}, but {transform.type} maps from "
        f"{_show(wanted)}\n"
        f"   = expected: values that fill {_show(wanted)}\n   = got: {_show(known)}\n"
        f"   = help: {remedy}"
    )


def _within(inner: Range, outer: Range) -> bool:
    slack = _SLACK * (outer[1] - outer[0])
    return outer[0] - slack <= inner[0] and inner[1] <= outer[1] + slack


def _show(values: Range) -> str:
    return f"{values[0]:g}..{values[1]:g}"
