"""Labels as people have them, whole numbers or words, brought to 0, 1, 2, ... with a name each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnkit.arrays import Array
from cnnkit.datasets.files import problem
from cnnkit.errors import DataError

RENUMBER = "numpy.searchsorted(numpy.unique(training_labels), labels), of each split"


class Part(NamedTuple):
    """An array of a dataset as read, and the words that tell a user where it came from."""

    array: Array
    where: Path | str


def to_labels(array: Array, where: Path | str) -> Part:
    """Return labels (N,), made of (N,) or (N, 1): int64, or words.

    Raises:
        DataError: where they are neither, or not one per image.
    """
    if array.ndim > 1 and max(array.shape) == array.size:
        array = array.reshape(-1)
    if array.ndim != 1:
        raise _not_flat(array, where)
    if array.size == 0:
        raise problem(where, "there are no labels", expected="at least one", got="shape (0,)")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "backslashreplace")
    if array.dtype.kind == "U":
        words = np.char.strip(array)
        if (blank := np.flatnonzero(words == "")).size:
            help = "name its class, or leave the image out"
            raise problem(where, "a label is empty", got=f"index {blank[0]}", help=help)
        return Part(words, where)
    if array.dtype.kind not in "biuf":
        what, got = "labels must be whole numbers or words", f"dtype {array.dtype}"
        raise problem(where, what, got=got, help=f"number them: {RENUMBER}")
    if (broken := ~np.isfinite(array) | (np.floor(array) != array)).any():
        place = int(np.argmax(broken))
        what, got = "labels must be whole numbers or words", f"{array[place]} at index {place}"
        help = f"where they are classes, number them: {RENUMBER}; quantities cannot be learned"
        raise problem(where, what, got=got, help=help)
    if array.min() < 0 or array.max() >= 2**31:
        got = f"label {int(array.min() if array.min() < 0 else array.max())}"
        raise problem(where, "labels must count from 0 up", got=got, help=f"renumber: {RENUMBER}")
    return Part(array.astype(np.int64), where)


def _not_flat(array: Array, where: Path | str) -> DataError:
    what, expected = "the array does not have the shape of labels", "(N,): one class per image"
    got, help = f"shape {array.shape}", ""
    if array.ndim == 2 and array.dtype.kind in "biuf":
        is_share = array.min() >= 0 and array.max() <= 1
        help = "for one-hot rows, save labels.argmax(axis=1)"
        help = help if is_share else "save the column that has the classes, such as labels[:, 0]"
        odd = np.flatnonzero(np.count_nonzero(array, axis=1) != 1)
        if odd.size and np.isin(array, (0, 1)).all():
            what = "an image has one class here: labels that mark several, or none, are not learned"
            got = f"{got}, with {np.count_nonzero(array[odd[0]])} classes at index {odd[0]}"
            help = "keep the images with one class, labels.sum(axis=1) == 1, and of these save "
            help += "labels.argmax(axis=1); or train a network for each class, on labels[:, 0], ..."
    return problem(where, what, expected=expected, got=got, help=help)


def encode(
    parts: Mapping[str, Part],
    names: list[str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Return the labels of each part as int64 in 0..classes-1, and the names of the classes.

    Words become classes in the order of `names`, or else sorted. Whole numbers count from 0, or
    from 1, which is said.

    Args:
        parts: what `to_labels` gave for each; "train" is one of them.
        names: of all classes; without them the training labels tell.

    Raises:
        DataError: for a label outside, fewer than two classes, or, where no names tell how many
            classes there are, a class that no training label belongs to.
    """
    found = {part: labels.array for part, labels in parts.items()}
    where = parts["train"].where
    if any(labels.dtype.kind == "U" for labels in found.values()):
        found = {part: labels.astype(str) for part, labels in found.items()}
    present = np.unique(found["train"])
    if len(present) < 2:
        what = "all training labels are the same: there is nothing to learn"
        got = f"{len(found['train'])} labels {present[0]}"
        raise problem(where, what, expected="at least 2 classes", got=got)
    if present.dtype.kind == "U":
        known = list(names or present)
        return {part: _words(found[part], parts[part].where, known) for part in parts}, tuple(known)
    count = len(names or present)
    first = int(min(labels.min() for labels in found.values()) > 0 and present[-1] == count)
    if not names:
        _check_gaps(present - first, present, where)
    for part, labels in found.items():
        _check_within(labels, parts[part].where, first, count)
    if first:
        say(f"note: the labels in {where} count from 1: output 0 of the network is class 1")
    classes = names or [str(label + first) for label in range(count)]
    return {part: labels - first for part, labels in found.items()}, tuple(classes)


def _words(labels: Array, where: Path | str, known: list[str]) -> Array:
    """Return the place of each word among those that are known."""
    places = {str(name): place for place, name in enumerate(known)}
    unknown = [index for index, word in enumerate(labels) if str(word) not in places]
    if unknown:
        got = f"{labels[unknown[0]]} at index {unknown[0]}"
        expected = ", ".join([*known[:10], *["..."] * (len(known) > 10)])
        raise problem(where, "a label is none of the classes", expected=expected, got=got)
    return np.array([places[str(word)] for word in labels], np.int64)


def _check_within(labels: Array, where: Path | str, first: int, count: int) -> None:
    """Refuse a label beyond the last class, naming the first such and its place."""
    if int(labels.max()) >= first + count:
        place = int(np.argmax(labels >= first + count))
        what = "a label lies outside the classes"
        expected = f"labels {first}..{first + count - 1}, for {count} classes"
        got = f"label {labels[place]} at index {place}"
        raise problem(where, what, expected=expected, got=got)


def _check_gaps(counted: Array, present: Array, where: Path | str) -> None:
    gaps = np.flatnonzero(counted != np.arange(len(counted)))
    if gaps.size:
        raise problem(
            where,
            f"no training label is {gaps[0]}, but some are {present[gaps[0]]}",
            expected="labels 0, 1, 2, ... without a gap",
            got=f"{len(present)} classes with labels up to {present[-1]}",
            help=f'renumber them, {RENUMBER}, or name every class: classes = ["cat", "dog"] in '
            "[data]",
        )
