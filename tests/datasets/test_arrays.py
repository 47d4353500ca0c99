"""Images and labels of every layout and dtype, brought to one form or refused."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.datasets.arrays import to_images
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
        (RGB[:, :3, :3], "hwc", RGB[:, :3, :3].transpose(0, 3, 1, 2)),
        (RGB.transpose(1, 2, 3, 0), "hwcn", RGB.transpose(0, 3, 1, 2)),
        (GREY.transpose(1, 2, 0), "hwcn", GREY[:, None]),
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
            np.zeros((32, 32, 3, 90), np.uint8),
            "the array does not have the shape of images\n"
            "  --> a.npz\n"
            "   = expected: (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)\n"
            "   = got: shape (32, 32, 3, 90)\n"
            '   = help: the images seem to lie in the last axis: write layout = "hwcn" in [data]',
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
            "the images hold NaN or infinity\n  --> a.npz\n   = got: 2 such values, "
            "the first in image 0",
        ),
        (
            np.array([[[0.5, 1e300]]]),
            "the images hold NaN or infinity\n  --> a.npz\n   = got: 1 such values, "
            "the first in image 0",
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
