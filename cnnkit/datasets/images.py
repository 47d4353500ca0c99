"""Bring images of any usual layout to (N, C, H, W)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.datasets.problems import problem

Layout = Literal["auto", "chw", "hwc"]
"""Where the channels of a 4-axis array sit; "auto": in the axis that has 1 or 3 of them."""


def to_images(array: Array, where: Path | str, layout: Layout = "auto") -> Array:
    """Return images (N, C, H, W), uint8 or float32, C-contiguous; copied only where needed.

    Args:
        array: (N, H, W) grayscale, (N, H, W, C) or (N, C, H, W); uint8, float, or any integers
            within 0..255.
        where: the file, and the array in it, for error texts.

    Raises:
        DataError: where the array is not images, or all its pixels are the same.
    """
    shape = nchw_shape(array.shape, where, layout)
    if array.ndim == 4 and shape != array.shape:
        array = array.transpose(0, 3, 1, 2)
    images = np.ascontiguousarray(_pixels(array, where).reshape(shape))
    if images.min() == images.max():
        raise problem(
            where,
            "every pixel of every image has the same value: there is nothing to learn",
            got=f"{images.flat[0]} in {len(images)} images",
        )
    return images


def nchw_shape(shape: Shape, where: Path | str, layout: Layout = "auto") -> Shape:
    """Return (N, C, H, W) for an array of `shape`.

    Raises:
        DataError: where the shape is not one of images, or leaves the channel axis open.
    """
    if 0 in shape:
        raise problem(where, "there are no images", expected="at least one", got=f"shape {shape}")
    if len(shape) == 3:
        return (shape[0], 1, *shape[1:])
    if len(shape) != 4:
        raise _not_images(shape, where)
    first, last = (axis in (1, 3) for axis in (shape[1], shape[3]))
    if layout == "auto" and first and last:
        raise problem(
            where,
            f"images of shape {shape} may have their channels first or last",
            help='write layout = "chw" or layout = "hwc" in [data]',
        )
    if layout == "auto" and not (first or last):
        raise _not_images(shape, where)
    if layout == "hwc" or (layout == "auto" and last):
        return (shape[0], shape[3], shape[1], shape[2])
    return shape


def _not_images(shape: Shape, where: Path | str) -> Exception:
    return problem(
        where,
        "the array does not have the shape of images",
        expected="(N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)",
        got=f"shape {shape}",
        help='with another number of channels, write layout = "chw" or layout = "hwc" in [data]'
        if len(shape) == 4
        else "",
    )


def _pixels(array: Array, where: Path | str) -> Array:
    """Cast to uint8 or float32, refusing what neither can hold."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # the inf that comes out is refused below
            images = array.astype(np.float32, copy=False)
        bad = np.count_nonzero(~np.isfinite(images))
        if bad:
            raise problem(where, "the images hold NaN or infinity", got=f"{bad} such values")
        return images
    if array.dtype.kind not in "iu":
        raise problem(
            where,
            "the images are not numbers",
            expected="uint8 or float",
            got=f"dtype {array.dtype}",
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise problem(
            where,
            "integer images must lie in 0..255",
            got=f"{low}..{high}",
            help="scale them, or save them as float32",
        )
    return array.astype(np.uint8)
