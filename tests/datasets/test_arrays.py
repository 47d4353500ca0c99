"""Images and labels of every layout and dtype, brought to one form or refused."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.datasets.arrays import class_names, to_images, to_labels
from cnnkit.errors import DataError

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (2, 5, 7), np.uint8)
RGB = RNG.integers(0, 256, (2, 5, 7, 3), np.uint8)
CHW = RNG.integers(0, 256, (2, 3, 5, 7), np.uint8)


@pytest.mark.parametrize(
    ("array", "layout", "want"),
    [
        (GREY, "auto", GREY[:, None]),
        (GREY[..., None], "auto", GREY[:, None]),
        (GREY[:, None], "auto", GREY[:, None]),
        (RGB, "auto", np.stack([RGB[..., 0], RGB[..., 1], RGB[..., 2]], 1)),
        (CHW, "auto", CHW),
        (RGB[:, :3], "hwc", np.stack([RGB[:, :3, :, 0], RGB[:, :3, :, 1], RGB[:, :3, :, 2]], 1)),
        (CHW[..., :3], "chw", CHW[..., :3]),
        (np.ones((2, 13, 4, 4), np.uint8) * GREY[:, :1, :1, None], "chw", None),
    ],
)
def test_layouts(array, layout, want):
    before = array.copy()
    images = to_images(array, "a.npz", layout)
    np.testing.assert_array_equal(images, array if want is None else want)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    np.testing.assert_array_equal(array, before)


def test_uint8_is_not_copied():
    assert np.shares_memory(to_images(GREY, "a.npz"), GREY)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_become_float32(dtype):
    images = to_images((GREY / 4).astype(dtype), "a.npz")
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[:, 0], (GREY / 4).astype(dtype).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64])
def test_integers_become_uint8(dtype):
    images = to_images((GREY // 2).astype(dtype), "a.npz")
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[:, 0], GREY // 2)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (
            RGB[:, :3],
            "images of shape (2, 3, 7, 3) may have their channels first or last\n"
            "  --> a.npz\n"
            '   = help: write layout = "chw" or layout = "hwc" in [data]',
        ),
        (
            np.zeros((2, 13, 5, 7), np.uint8),
            "the array does not have the shape of images\n"
            "  --> a.npz\n"
            "   = expected: (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)\n"
            "   = got: shape (2, 13, 5, 7)\n"
            '   = help: with another number of channels, write layout = "chw" or '
            'layout = "hwc" in [data]',
        ),
        (
            GREY[0],
            "the array does not have the shape of images\n"
            "  --> a.npz\n"
            "   = expected: (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)\n"
            "   = got: shape (5, 7)",
        ),
        (
            np.array([[[0.5, np.nan], [np.inf, 1.0]]]),
            "the images hold NaN or infinity\n  --> a.npz\n   = got: 2 such values",
        ),
        (
            np.array([[[0.5, 1e300]]]),
            "the images hold NaN or infinity\n  --> a.npz\n   = got: 1 such values",
        ),
        (
            np.array([[["a", "b"]]]),
            "the images are not numbers\n"
            "  --> a.npz\n"
            "   = expected: uint8 or float\n"
            "   = got: dtype <U1",
        ),
        (
            np.full((3, 2, 2), 9, np.uint8),
            "every pixel of every image has the same value: there is nothing to learn\n"
            "  --> a.npz\n"
            "   = got: 9 in 3 images",
        ),
        (
            GREY[:0],
            "there are no images\n"
            "  --> a.npz\n"
            "   = expected: at least one\n"
            "   = got: shape (0, 5, 7)",
        ),
    ],
)
def test_what_is_not_images(array, text):
    with pytest.raises(DataError) as caught:
        to_images(array, "a.npz")
    assert str(caught.value) == text


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64, ">i2"])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_labels_become_int64(dtype, shape):
    labels = to_labels(np.array([2, 0, 1], dtype).reshape(shape), "a.npz")
    assert labels.dtype == np.int64
    assert labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (
            np.eye(3),
            "the array does not have the shape of labels\n"
            "  --> a.npz\n"
            "   = expected: (N,): one class index per image\n"
            "   = got: shape (3, 3)\n"
            "   = help: for one-hot rows, save labels.argmax(axis=1)",
        ),
        (
            np.array([0.0, 1.0]),
            "labels must be whole numbers\n"
            "  --> a.npz\n"
            "   = expected: an integer dtype\n"
            "   = got: dtype float64\n"
            "   = help: save them with .astype(numpy.int64)",
        ),
        (
            np.array([1, -2]),
            "labels must count from 0 up\n  --> a.npz\n   = got: label -2",
        ),
        (
            np.array([1, 2**64 - 1], np.uint64),
            "labels must count from 0 up\n  --> a.npz\n   = got: label 18446744073709551615",
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


def test_class_names():
    assert class_names(np.array([2, 0, 1, 1]), "a", None) == ("0", "1", "2")
    assert class_names(np.array([2, 0]), "a", ["x", "y", "z"]) == ("x", "y", "z")


@pytest.mark.parametrize(
    ("labels", "names", "text"),
    [
        (
            [1, 2],
            None,
            "no training label is 0, but some are 1\n"
            "  --> a.npz\n"
            "   = expected: labels 0, 1, 2, ... without a gap\n"
            "   = got: 2 classes with labels up to 2\n"
            '   = help: renumber the labels, or name every class: classes = ["cat", "dog"] '
            "in [data]",
        ),
        (
            [0, 0, 0],
            None,
            "all training labels are the same: there is nothing to learn\n"
            "  --> a.npz\n"
            "   = expected: at least 2 classes\n"
            "   = got: 3 labels 0",
        ),
        (
            [0, 1, 2],
            ["x", "y"],
            "a label lies outside the classes\n"
            "  --> a.npz\n"
            "   = expected: labels 0..1, for 2 classes\n"
            "   = got: label 2 at index 2",
        ),
    ],
)
def test_classes_that_do_not_fit(labels, names, text):
    with pytest.raises(DataError) as caught:
        class_names(np.array(labels), "a.npz", names)
    assert str(caught.value) == text
