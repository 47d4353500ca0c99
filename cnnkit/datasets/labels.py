"""Bring labels to (N,) int64, and name the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnnkit.arrays import Array
from cnnkit.datasets.problems import problem


def to_labels(array: Array, where: Path | str) -> Array:
    """Return labels (N,) int64, made of (N,) or (N, 1).

    Raises:
        DataError: where they are not whole numbers from 0 up, one per image.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise problem(
            where,
            "the array does not have the shape of labels",
            expected="(N,): one class index per image",
            got=f"shape {array.shape}",
            help="for one-hot rows, save labels.argmax(axis=1)" if array.ndim == 2 else "",
        )
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


def class_names(labels: Array, where: Path | str, names: list[str] | None) -> tuple[str, ...]:
    """Return the display name of each class: `names`, or "0", "1", ... as the labels count.

    Raises:
        DataError: for a label outside, fewer than two classes, or, where no names tell how many
            classes there are, a class that no training label belongs to.
    """
    check_within(labels, where, len(names) if names else None)
    present = np.unique(labels)
    if len(present) < 2:
        raise problem(
            where,
            "all training labels are the same: there is nothing to learn",
            expected="at least 2 classes",
            got=f"{len(labels)} labels {present[0]}",
        )
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


def check_within(labels: Array, where: Path | str, count: int | None) -> None:
    """Refuse a label that is not below `count`.

    Raises:
        DataError: naming the first such label and its place.
    """
    if count is not None and int(labels.max()) >= count:
        place = int(np.argmax(labels >= count))
        raise problem(
            where,
            "a label lies outside the classes",
            expected=f"labels 0..{count - 1}, for {count} classes",
            got=f"label {labels[place]} at index {place}",
        )
