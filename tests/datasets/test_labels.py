"""Labels of every kind, brought to 0, 1, 2, ... with a name each, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.datasets.labels import encode, to_labels
from cnnkit.errors import DataError

RENUMBER = "numpy.searchsorted(numpy.unique(training_labels), labels), of each split"


def coded(train, *others, names=None, said=None):
    """Return (labels of each part, names of the classes)."""
    given = {"train": train, **{f"part{n}": other for n, other in enumerate(others)}}
    parts = {part: to_labels(np.array(labels), part) for part, labels in given.items()}
    found, classes = encode(parts, names, (said if said is not None else []).append)
    assert all(labels.dtype == np.int64 for labels in found.values())
    return [labels.tolist() for labels in found.values()], classes


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64, ">i2", np.float32, ">f8"])
@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3)])
def test_whole_numbers(dtype, shape):
    labels = to_labels(np.array([2, 0, 1], dtype).reshape(shape), "a.npz")
    assert labels.array.dtype == np.int64
    assert labels.array.tolist() == [2, 0, 1]
    assert coded([2, 0, 1, 1]) == ([[2, 0, 1, 1]], ("0", "1", "2"))
    assert coded([2, 0], names=["x", "y", "z"]) == ([[2, 0]], ("x", "y", "z"))
    assert coded([True, False]) == ([[1, 0]], ("0", "1"))


@pytest.mark.parametrize("dtype", ["U", "S"])
def test_words_are_classes(dtype):
    train, test = np.array(["dog", "cat ", "dög"]), ["cat", " dog"]
    if dtype == "S":
        train = np.char.encode(train, "utf-8")
    assert coded(train, test) == ([[1, 0, 2], [0, 1]], ("cat", "dog", "dög"))
    names = ["dög", "cow", "dog", "cat"]
    assert coded(train, test, names=names) == ([[2, 3, 0], [3, 2]], tuple(names))
    assert coded(["3", "x"], [3]) == ([[0, 1], [0]], ("3", "x"))


def test_counted_from_1_is_said():
    said: list[str] = []
    assert coded([1, 3, 2], [2], said=said) == ([[0, 2, 1], [1]], ("1", "2", "3"))
    assert said == ["note: the labels in train count from 1: output 0 of the network is class 1"]
    assert coded([1, 3, 2], names=["a", "b", "c"]) == ([[0, 2, 1]], ("a", "b", "c"))
    said.clear()
    assert coded([1, 2], [0], names=["a", "b", "c"], said=said)[0] == [[1, 2], [0]]
    assert coded([1, 2], names=["a", "b", "c"], said=said)[0] == [[1, 2]]
    assert said == []


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (
            np.eye(3),
            "the array does not have the shape of labels\n"
            "  --> a.npz\n"
            "   = expected: (N,): one class per image\n"
            "   = got: shape (3, 3)\n"
            "   = help: for one-hot rows, save labels.argmax(axis=1)",
        ),
        (
            np.array([[0, 1, 0], [1, 0, 1]]),
            "an image has one class here: labels that mark several, or none, are not learned\n"
            "  --> a.npz\n"
            "   = expected: (N,): one class per image\n"
            "   = got: shape (2, 3), with 2 classes at index 1\n"
            "   = help: keep the images with one class, labels.sum(axis=1) == 1, and of these save "
            "labels.argmax(axis=1); or train a network for each class, on labels[:, 0], ...",
        ),
        (
            np.array([1.5, 2.5]),
            "labels must be whole numbers or words\n"
            "  --> a.npz\n"
            "   = got: 1.5 at index 0\n"
            f"   = help: where they are classes, number them: {RENUMBER}; "
            "quantities cannot be learned",
        ),
        (
            np.array([0, np.nan]),
            "labels must be whole numbers or words\n"
            "  --> a.npz\n"
            "   = got: nan at index 1\n"
            f"   = help: where they are classes, number them: {RENUMBER}; "
            "quantities cannot be learned",
        ),
        (
            np.array(["2020-01-01"], "M8[D]"),
            "labels must be whole numbers or words\n"
            "  --> a.npz\n"
            "   = got: dtype datetime64[D]\n"
            f"   = help: number them: {RENUMBER}",
        ),
        (
            np.array([1, -2]),
            "labels must count from 0 up\n"
            "  --> a.npz\n"
            "   = got: label -2\n"
            f"   = help: renumber: {RENUMBER}",
        ),
        (
            np.array([1, 2**64 - 1], np.uint64),
            "labels must count from 0 up\n"
            "  --> a.npz\n"
            "   = got: label 18446744073709551615\n"
            f"   = help: renumber: {RENUMBER}",
        ),
        (
            np.array(["cat", ""]),
            "a label is empty\n"
            "  --> a.npz\n"
            "   = got: index 1\n"
            "   = help: name its class, or leave the image out",
        ),
        (
            np.array([], np.int64),
            "there are no labels\n  --> a.npz\n   = expected: at least one\n   = got: shape (0,)",
        ),
    ],
)
def test_what_is_not_labels(array, text):
    with pytest.raises(DataError) as caught:
        to_labels(array, "a.npz")
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("parts", "names", "text"),
    [
        (
            [[1, 3]],
            None,
            "no training label is 0, but some are 1\n"
            "  --> train\n"
            "   = expected: labels 0, 1, 2, ... without a gap\n"
            "   = got: 2 classes with labels up to 3\n"
            f"   = help: renumber them, {RENUMBER}, or name every class: "
            'classes = ["cat", "dog"] in [data]',
        ),
        (
            [[1, 2], [0]],
            None,
            "no training label is 0, but some are 1\n"
            "  --> train\n"
            "   = expected: labels 0, 1, 2, ... without a gap\n"
            "   = got: 2 classes with labels up to 2\n"
            f"   = help: renumber them, {RENUMBER}, or name every class: "
            'classes = ["cat", "dog"] in [data]',
        ),
        (
            [[0, 0, 0]],
            None,
            "all training labels are the same: there is nothing to learn\n"
            "  --> train\n"
            "   = expected: at least 2 classes\n"
            "   = got: 3 labels 0",
        ),
        (
            [[0, 1, 2]],
            ["x", "y"],
            "a label lies outside the classes\n"
            "  --> train\n"
            "   = expected: labels 0..1, for 2 classes\n"
            "   = got: label 2 at index 2",
        ),
        (
            [[1, 2], [1, 3]],
            None,
            "a label lies outside the classes\n"
            "  --> part0\n"
            "   = expected: labels 1..2, for 2 classes\n"
            "   = got: label 3 at index 1",
        ),
        (
            [["cat", "dog"], ["cat", "cow"]],
            None,
            "a label is none of the classes\n"
            "  --> part0\n"
            "   = expected: cat, dog\n"
            "   = got: cow at index 1",
        ),
    ],
)
def test_classes_that_do_not_fit(parts, names, text):
    with pytest.raises(DataError) as caught:
        coded(*parts, names=names)
    assert str(caught.value) == text
