"""What a run says of data that nothing is wrong with."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.base import Data, Split
from cnnkit.runs.oddities import oddities
from cnnkit.transforms import Flip, Invert, Normalize, Scale

RNG = np.random.default_rng(0)


def split(*counts: int) -> Split:
    """Return so many images of each class, all different."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return Split(RNG.integers(0, 256, (len(labels), 1, 4, 4), np.uint8), labels)


def said(train: Split, test: Split, validation: Split | None = None) -> list[str]:
    return list(oddities(Data("mine", train, test, ("cat", "dog", "cow"), validation), [Scale()]))


def test_nothing_odd():
    assert said(split(10, 200, 50), split(1, 1, 1), split(2, 2, 2)) == []


def test_rare_and_absent_classes():
    assert said(split(200, 9, 0), split(5, 0, 0), split(1, 1, 0)) == [
        "warning: classes with fewer than 10 images to train on: dog (9), cow (0)",
        "warning: some classes have over 20 times the images of others: 200 of cat, 0 of cow",
        "warning: no validation image is of class cow",
        "warning: no test image is of class dog, cow",
    ]


def test_many_at_once_are_counted():
    classes = tuple(map(str, range(9)))
    data = Data("mine", split(*[3] * 9), split(*[1] * 9), classes)
    assert list(oddities(data, [Scale()])) == [
        "warning: classes with fewer than 10 images to train on: 0 (3), 1 (3), 2 (3), 3 (3), 4 (3) "
        "and 4 more"
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_in_two_splits(dtype):
    train, test = split(20, 20, 20), split(3, 3, 3)
    train, test = (Split(one.images.astype(dtype), one.labels) for one in (train, test))
    test.images[4] = train.images[50]
    assert said(train, test) == [
        "warning: 1 test image is a training image too, such as test image 4, which is training "
        "image 50"
    ]
    test.images[7] = train.images[3]
    assert said(train, test, Split(train.images[10:12], train.labels[10:12])) == [
        "warning: no validation image is of class dog, cow",
        "warning: 2 validation images are training images too, such as validation image 0, which "
        "is training image 10",
        "warning: 2 test images are training images too, such as test image 4, which is training "
        "image 50",
    ]


def test_images_of_one_colour():
    train, test = split(20, 20, 20), split(3, 3, 3)
    train.images[[4, 9]] = np.array([0, 255], np.uint8)[:, None, None, None]
    test.images[2] = 8
    assert said(train, test) == [
        "warning: 2 train images are of one colour all over: 4, 9",
        "warning: 1 test image is of one colour all over: 2",
    ]


def test_images_scaled_otherwise_than_others():
    train, test = split(20, 20, 20), split(3, 3, 3)
    train.images[:7] = train.images[:7] // 128
    assert said(train, test) == ["warning: 7 of 60 train images have values within 0..1 alone"]


def test_channels_at_the_end():
    images, labels = RNG.integers(0, 256, (30, 8, 8, 3), np.uint8), np.repeat(range(3), 10)
    data = Split(images, labels)
    assert said(data, Split(255 - images, labels)) == [
        "warning: images of 8x8x3: 8 channels, 3 pixels wide"
    ]


UNSCALED = (
    "warning: bytes, 0 to 255, reach the network as they are: [data] transforms replaces the "
    'default, ["scale"]; put "scale" into it'
)


@pytest.mark.parametrize(
    ("transforms", "is_said"),
    [([Flip()], 1), ([], 1), ([Invert()], 1), ([Flip(), Scale()], 0), ([Normalize()], 0)],
)
def test_bytes_that_nothing_scales(transforms, is_said):
    train, test = split(20, 20, 20), split(3, 3, 3)
    data = Data("mine", train, test, ("cat", "dog", "cow"))
    assert list(oddities(data, transforms)) == [UNSCALED] * is_said
    floats = Split(train.images.astype(np.float32), train.labels)
    assert list(oddities(Data("mine", floats, test, data.classes), transforms)) == []
