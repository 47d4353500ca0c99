"""The range of pixel values: checked once before training, remembered, and held against later."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import cnnkit
from cnnkit.arrays import FRESH
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import DataError
from cnnkit.layers import Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.optimizers import Sgd
from cnnkit.transforms import Scale
from cnnkit.values import check_like, check_values, natural_range

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (40, 1, 4, 4), np.uint8)
UNIT = (BYTES / 255).astype(np.float32)
MADE_FOR_BYTES = [
    ("unit", UNIT, "0..1", "[0, 1]"),
    ("sixteen levels", BYTES // 16, "0..15", "[0, 16]"),
    ("floats of sixteen levels", UNIT * 16, "0..16", "[0, 16]"),
    ("sixteen bits", BYTES.astype(np.float32) * 257, "0..65535", "[0, 65535]"),
    ("twelve bits", BYTES.astype(np.float32) * 16, "0..4080", "[0, 4095]"),
    ("centred", UNIT * 2 - 1, "-1..1", "[-1, 1]"),
    ("standardised", UNIT * 4 - 2, "-2..2", "[-4, 4]"),
]


@pytest.mark.parametrize(
    ("images", "found", "remedy"), [case[1:] for case in MADE_FOR_BYTES],
    ids=[case[0] for case in MADE_FOR_BYTES],
)  # fmt: skip
def test_scale_refuses_values_of_another_range_and_its_help_works(images, found, remedy):
    with pytest.raises(DataError) as caught:
        check_values(images, [Scale()], "training images of mine")
    assert str(caught.value) == (
        f"training images of mine: values lie within {found}, but scale maps from 0..255\n"
        f"   = expected: values that fill 0..255\n   = got: {found}\n"
        f"   = help: give scale the range = {remedy}"
    )
    low, high = map(float, remedy.strip("[]").split(","))
    assert check_values(images, [Scale(range=(low, high))], "mine")[:2] == (low, high)


def test_values_that_fit_pass():
    assert check_values(BYTES, [Scale()], "mine")[:2] == (0, 255)
    assert check_values(BYTES.astype(np.float64), [Scale()], "mine")[:2] == (0, 255)
    assert check_values(UNIT, [], "mine")[:2] == (0, 1)
    assert check_values(BYTES[:0], [Scale()], "mine")[:2] == (0, 255)


def test_scaling_twice_is_refused():
    with pytest.raises(DataError) as caught:
        check_values(BYTES, [Scale(), Scale()], "mine")
    assert str(caught.value).splitlines()[0] == (
        "what reaches the transform scale: values lie within -0.5..0.5, but scale maps from 0..255"
    )
    check_values(BYTES, [Scale(low=0, high=1), Scale(range=(0, 1))], "mine")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named_with_their_image(bad):
    images = UNIT.copy()
    images[[7, 9], 0, 1, 2] = bad
    for check, against in ((check_values, []), (check_like, (0, 1))):
        with pytest.raises(DataError) as caught:
            check(images, against, "mine")
        assert str(caught.value) == (
            "mine: image 7 and 1 more holds values that are not finite\n"
            "   = expected: finite numbers\n   = help: mend or leave out these images"
        )


def test_scale_maps_the_range_that_it_is_given():
    y = Scale(low=0, high=1, range=(-1, 3)).apply(
        np.array([-1.0, 1.0, 3.0], np.float32), None, FRESH
    )
    assert y.tolist() == [0, 0.5, 1]


def trained(images, transforms):
    model = cnnkit.Model.build([Softmax(units=2)], (1, 4, 4), transforms=transforms)
    Trainer(model, CrossEntropy(), Sgd(lr=0.1), epochs=1).fit(images, np.arange(40) % 2)
    return model


@pytest.mark.parametrize(
    ("images", "transforms", "others"),
    [
        (BYTES, [Scale()], UNIT),
        (BYTES, [Scale()], UNIT * 4 - 2),
        (BYTES, [Scale()], BYTES.astype(np.float32) * 257),
        (UNIT, [], BYTES),
        (UNIT, [], UNIT * 4 - 2),
        (UNIT * 2 - 1, [], BYTES),
    ],
)
def test_a_model_refuses_images_of_another_range(images, transforms, others, tmp_path):
    model = trained(images, transforms)
    model.save(tmp_path / "m.safetensors")
    for one in (model, cnnkit.Model.load(tmp_path / "m.safetensors")):
        one.predict(images)
        with pytest.raises(DataError, match="but the model was trained on images of"):
            one.predict(others)


def test_dark_images_are_merely_unlikely():
    model = trained(BYTES, [Scale()])
    with pytest.warns(UserWarning, match="values lie within 0..15, but the model was trained on"):
        model.predict(BYTES // 16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(np.zeros((1, 1, 4, 4), np.uint8))


def test_ranges_that_images_usually_have():
    assert natural_range((0, 200), np.dtype(np.uint8)) == (0, 255)
    assert natural_range((0, 0.7), np.dtype(float)) == (0, 1)
    assert natural_range((-3, 5), np.dtype(float)) == (-7, 9)
