"""Arrays as people have them, brought to (N, C, H, W) and labels, checked against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Shape
from cnnkit.base import Data, Dataset, Split
from cnnkit.datasets.files import problem

ClassNames = Annotated[list[str], Field(min_length=2)]
"""Display names of the classes, in the order of their labels."""

Layout = Literal["auto", "chw", "hwc"]
"""Where the channels of a 4-axis array sit; "auto": in the axis that has 1 or 3 of them."""


class Part(NamedTuple):
    """An array of a dataset as read, and the words that tell a user where it came from."""

    array: Array
    where: Path | str


def to_images(array: Array, where: Path | str, layout: Layout = "auto") -> Array:
    """Return images (N, C, H, W), uint8 or float32, C-contiguous; copied only where needed.

    Args:
        array: (N, H, W) grayscale, (N, H, W, C) or (N, C, H, W); uint8, float, or any integers;
            those that leave 0..255 become float32.
        where: the file, and the array in it, for error texts.

    Raises:
        DataError: where the array is not images, or all its pixels are the same.
    """
    shape = nchw_shape(array.shape, where, layout)
    if array.ndim == 4 and shape != array.shape:
        array = array.transpose(0, 3, 1, 2)
    images = np.ascontiguousarray(_pixels(array, where).reshape(shape))
    if images.min() == images.max():
        what = "every pixel of every image has the same value: there is nothing to learn"
        raise problem(where, what, got=f"{images.flat[0]} in {len(images)} images")
    return images


def nchw_shape(shape: Shape, where: Path | str, layout: Layout = "auto") -> Shape:
    """Return (N, C, H, W) for an array of `shape`.

    Raises:
        DataError: where the shape is not one of images, or leaves the channel axis open.
    """
    got, advice = f"shape {shape}", 'write layout = "chw" or layout = "hwc" in [data]'
    if 0 in shape:
        raise problem(where, "there are no images", expected="at least one", got=got)
    if len(shape) == 3:
        return (shape[0], 1, *shape[1:])
    if len(shape) == 4 and layout == "auto":
        first, last = shape[1] in (1, 3), shape[3] in (1, 3)
        if first and last:
            what = f"images of {got} may have their channels first or last"
            raise problem(where, what, help=advice)
        layout = "chw" if first else "hwc" if last else "auto"
    if len(shape) == 4 and layout != "auto":
        return shape if layout == "chw" else (shape[0], shape[3], *shape[1:3])
    what = "the array does not have the shape of images"
    expected = "(N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)"
    help = f"with another number of channels, {advice}" if len(shape) == 4 else ""
    raise problem(where, what, expected=expected, got=got, help=help)


def _pixels(array: Array, where: Path | str) -> Array:
    """Cast to uint8 or float32, refusing what neither can hold."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # the inf that comes out is refused below
            images = array.astype(np.float32, copy=False)
        if bad := np.count_nonzero(~np.isfinite(images)):
            raise problem(where, "the images hold NaN or infinity", got=f"{bad} such values")
        return images
    if array.dtype.kind not in "iu":
        what, got = "the images are not numbers", f"dtype {array.dtype}"
        raise problem(where, what, expected="uint8 or float", got=got)
    low, high = int(array.min()), int(array.max())
    return array.astype(np.uint8 if low >= 0 and high <= 255 else np.float32)


def to_labels(array: Array, where: Path | str) -> Array:
    """Return labels (N,) int64, made of (N,) or (N, 1).

    Raises:
        DataError: where they are not whole numbers from 0 up, one per image.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        what = "the array does not have the shape of labels"
        expected = "(N,): one class index per image"
        help = "for one-hot rows, save labels.argmax(axis=1)" if array.ndim == 2 else ""
        raise problem(where, what, expected=expected, got=f"shape {array.shape}", help=help)
    if array.dtype.kind not in "iu":
        what, got = "labels must be whole numbers", f"dtype {array.dtype}"
        help = "save them with .astype(numpy.int64)"
        raise problem(where, what, expected="an integer dtype", got=got, help=help)
    if array.size == 0:
        raise problem(where, "there are no labels", expected="at least one", got="shape (0,)")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= 2**31:
        got = f"label {low if low < 0 else high}"
        raise problem(where, "labels must count from 0 up", got=got)
    return array.astype(np.int64)


def class_names(
    labels: Array, where: Path | str, names: list[str] | None = None
) -> tuple[str, ...]:
    """Return the display name of each class: `names`, or "0", "1", ... as the labels count.

    Raises:
        DataError: for a label outside, fewer than two classes, or, where no names tell how many
            classes there are, a class that no training label belongs to.
    """
    if names:
        _check_within(labels, where, len(names))
    present = np.unique(labels)
    if len(present) < 2:
        what = "all training labels are the same: there is nothing to learn"
        got = f"{len(labels)} labels {present[0]}"
        raise problem(where, what, expected="at least 2 classes", got=got)
    if names:
        return tuple(names)
    gaps = np.flatnonzero(present != np.arange(len(present)))
    if gaps.size:
        raise problem(
            where,
            f"no training label is {gaps[0]}, but some are {present[gaps[0]]}",
            expected="labels 0, 1, 2, ... without a gap",
            got=f"{len(present)} classes with labels up to {present[-1]}",
            help='renumber the labels, or name every class: classes = ["cat", "dog"] in [data]',
        )
    return tuple(str(one) for one in present)


def _check_within(labels: Array, where: Path | str, count: int) -> None:
    """Refuse a label that is not below `count`, naming the first such and its place."""
    if int(labels.max()) >= count:
        place = int(np.argmax(labels >= count))
        expected = f"labels 0..{count - 1}, for {count} classes"
        got = f"label {labels[place]} at index {place}"
        raise problem(where, "a label lies outside the classes", expected=expected, got=got)


def assemble(
    dataset: Dataset,
    train: tuple[Part, Part],
    test: tuple[Part, Part],
    classes: list[str] | None = None,
    layout: Layout = "auto",
) -> Data:
    """Return the data of `dataset`, made of (images, labels) for training and for test.

    Args:
        classes: display names; without them the training labels tell how many classes there are.

    Raises:
        DataError: where one of the arrays is not what it should be, or two do not match.
    """
    first, second = _split(*train, layout), _split(*test, layout)
    names = class_names(first.labels, train[1].where, classes)
    _check_within(second.labels, test[1].where, len(names))
    for what, want, got in (
        ("shape", first.images.shape[1:], second.images.shape[1:]),
        ("dtype", first.images.dtype, second.images.dtype),
    ):
        if want != got:
            differ = f"training and test images differ in {what}"
            expected = f"{want}, as in {train[0].where}"
            raise problem(test[0].where, differ, expected=expected, got=str(got))
    return Data(dataset.type, first, second, names)


def _split(images: Part, labels: Part, layout: Layout) -> Split:
    split = Split(to_images(*images, layout), to_labels(*labels))
    want, got = len(split.images), len(split.labels)
    if want != got:
        expected = f"{want} labels, for the images in {images.where}"
        what = "there must be one label per image"
        raise problem(labels.where, what, expected=expected, got=f"{got} labels")
    return split
