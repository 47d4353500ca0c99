"""Arrays as people have them, brought to (N, C, H, W) and labels, checked against each other."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from math import isqrt
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from cnnkit.arrays import Array, Shape
from cnnkit.base import Data, Dataset, DatasetInfo, Split
from cnnkit.datasets.files import problem
from cnnkit.datasets.labels import Part, encode, to_labels
from cnnkit.split import stratified_split, take


def _different(names: list[str]) -> list[str]:
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"names of different classes, but {twice[0]!r} stands there twice")
    return names


ClassNames = Annotated[list[str], Field(min_length=2), AfterValidator(_different)]
"""Display names of the classes, in the order of their labels."""

Layout = Literal["auto", "chw", "hwc", "hwcn"]
"""Where the channels of a 4-axis array sit; "auto": in the axis that has 1 or 3 of them. "hwcn" is
MATLAB's: the images lie in the last axis."""


Parts = Mapping[str, tuple[Part, Part]]
"""Images and labels by the names of the splits: "train", and "test" or "validation"."""


class OwnArrays(Dataset, ABC):
    """Arrays of images and labels in files of one's own."""

    test: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the training images taken for test, stratified by class, instead of test files; 0
    means that there are no test images, and so no figures on them."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Chooses which images `test` takes."""
    classes: ClassNames | None = None
    """Names of the classes in the order of their labels; without them, words are the classes, and
    whole numbers must use 0, 1, 2, ... or 1, 2, 3, ... all."""
    layout: Layout = "auto"
    """Where channels sit, "chw" or "hwc"; "auto" looks for the axis that has 1 or 3 of them. In
    "hwcn", MATLAB's, the images lie in the last axis."""

    def arrange(self, parts: Parts, say: Callable[[str], None]) -> Data:
        """Return the data of these parts, its test split taken from "train" if `test` says so."""
        share, seed = self.test or 0.0, self.seed
        return assemble(self, parts, self.classes, self.layout, share, seed, say)

    def describe(self, images: Shape, labels: Part | None, where: Path | str) -> DatasetInfo:
        """Return what the shape of the training images and, without `classes`, labels tell."""
        shape = nchw_shape(images, where, self.layout)
        names = tuple(self.classes or ())
        if labels is not None:
            names = encode({"train": to_labels(*labels)})[1]
        return DatasetInfo(shape[1:], len(names), names, int(shape[0] * (1 - (self.test or 0))))


def to_images(
    array: Array, where: Path | str, layout: Layout = "auto", to_train: bool = True
) -> Array:
    """Return images (N, C, H, W), uint8 or float32, C-contiguous; copied only where needed.

    Args:
        array: (N, H, W) grayscale, (N, H, W, C) or (N, C, H, W); uint8, float, or any integers;
            those that leave 0..255 become float32.
        where: the file, and the array in it, for error texts.

    Raises:
        DataError: where the array is not images, or they are to train on and all pixels the same.
    """
    array = array.transpose(_axes(array.shape, where, layout))
    shape = array.shape if array.ndim == 4 else (len(array), 1, *array.shape[1:])
    images = np.ascontiguousarray(_pixels(array, where).reshape(shape))
    if to_train and images.min() == images.max():
        what = "every pixel of every image has the same value: there is nothing to learn"
        raise problem(where, what, got=f"{images.flat[0]} in {len(images)} images")
    return images


def nchw_shape(shape: Shape, where: Path | str, layout: Layout = "auto") -> Shape:
    """Return (N, C, H, W) for an array of `shape`.

    Raises:
        DataError: where the shape is not one of images, or leaves the channel axis open.
    """
    moved = tuple(shape[axis] for axis in _axes(shape, where, layout))
    return moved if len(moved) == 4 else (moved[0], 1, *moved[1:])


def _axes(shape: Shape, where: Path | str, layout: Layout) -> tuple[int, ...]:
    """Return where N, C, H and W are among the axes; without C for grayscale."""
    got, advice = f"shape {shape}", 'write layout = "chw" or layout = "hwc" in [data]'
    if 0 in shape:
        raise problem(where, "there are no images", expected="at least one", got=got)
    if len(shape) == 3:
        return (2, 0, 1) if layout == "hwcn" else (0, 1, 2)
    if len(shape) == 4 and layout == "auto":
        first, last = shape[1] in (1, 3), shape[3] in (1, 3)
        if first and last:
            what = f"images of {got} may have their channels first or last"
            raise problem(where, what, help=advice)
        layout = "chw" if first else "hwc" if last else "auto"
    if len(shape) == 4 and layout != "auto":
        return {"chw": (0, 1, 2, 3), "hwc": (0, 3, 1, 2), "hwcn": (3, 2, 0, 1)}[layout]
    what = "the array does not have the shape of images"
    expected = "(N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)"
    help = f"with another number of channels, {advice}" if len(shape) == 4 else ""
    if len(shape) == 2 and isqrt(shape[1]) ** 2 == shape[1]:
        help = (
            f"with a row per image, save images.reshape(-1, {isqrt(shape[1])}, {isqrt(shape[1])})"
        )
    if len(shape) == 4 and shape[2] in (1, 3):
        help = 'the images seem to lie in the last axis: write layout = "hwcn" in [data]'
    raise problem(where, what, expected=expected, got=got, help=help)


def _pixels(array: Array, where: Path | str) -> Array:
    """Cast to uint8 or float32, refusing what neither can hold."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # the inf that comes out is refused below
            images = array.astype(np.float32, copy=False)
        if (bad := ~np.isfinite(images)).any():
            got = f"{np.count_nonzero(bad)} such values"
            got += f", the first in image {int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))}"
            raise problem(where, "the images hold NaN or infinity", got=got)
        return images
    if array.dtype.kind not in "biu":
        what, got = "the images are not numbers", f"dtype {array.dtype}"
        raise problem(where, what, expected="uint8 or float", got=got)
    low, high = int(array.min()), int(array.max())
    return array.astype(np.uint8 if low >= 0 and high <= 255 else np.float32)


def assemble(
    dataset: Dataset,
    parts: Parts,
    classes: list[str] | None = None,
    layout: Layout = "auto",
    share: float = 0.0,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Data:
    """Return the data of `dataset`, made of the images and labels of its splits.

    Args:
        classes: display names; without them the training labels tell how many classes there are.
        share, seed: of the training images, what becomes the test split where there is none.

    Raises:
        DataError: where one of the arrays is not what it should be, or two do not match.
    """
    images = {part: to_images(*pair[0], layout, part == "train") for part, pair in parts.items()}
    labels = {part: to_labels(*pair[1]) for part, pair in parts.items()}
    for part, pair in parts.items():
        _check_counts(pair[0], images[part], labels[part])
    numbers, names = encode(labels, classes, say)
    for part, pair in parts.items():
        _check_alike(images["train"], parts["train"][0], images[part], pair[0], part)
    splits = {part: Split(images[part], numbers[part]) for part in parts}
    if "test" not in splits:
        where = parts["train"][1].where
        splits["train"], splits["test"] = _part(splits["train"], share, seed, where)
    return Data(dataset.type, splits["train"], splits["test"], names, splits.get("validation"))


def _part(data: Split, share: float, seed: int, where: Path | str) -> tuple[Split, Split]:
    kept, aside = stratified_split(data.labels, share, seed, "test split")
    if share and not len(aside):
        counts = np.unique(data.labels, return_counts=True)[1]
        what = f"no image is left for test: {share} of each class is less than one"
        got = f"at most {counts.max()} of a class"
        raise problem(where, what, got=got, help="raise test, or add images")
    return take(data, kept), take(data, aside)


def _check_counts(pixels: Part, images: Array, labels: Part) -> None:
    want, got = len(images), len(labels.array)
    if want != got:
        expected = f"{want} labels, for the images in {pixels.where}"
        last = 'the images seem to lie in the last axis: write layout = "hwcn" in [data]'
        help = last if pixels.array.shape[-1] == got else ""
        what = "there must be one label per image"
        raise problem(labels.where, what, expected=expected, got=f"{got} labels", help=help)


def _check_alike(first: Array, at: Part, images: Array, part: Part, name: str) -> None:
    for what, want, got in (
        ("shape", first.shape[1:], images.shape[1:]),
        ("dtype", first.dtype, images.dtype),
    ):
        if want != got:
            differ = f"training and {name} images differ in {what}"
            expected = f"{want}, as in {at.where}"
            raise problem(part.where, differ, expected=expected, got=str(got))
