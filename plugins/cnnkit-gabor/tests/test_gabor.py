"""Gabor against the kit, against the formula written out, and against stripes it must see."""

from __future__ import annotations

from math import cos, exp, pi, sin
from pathlib import Path

import numpy as np
import pytest
from cnnkit_gabor import Gabor

import cnnkit
from cnnkit.arrays import flatten
from cnnkit.base import Context
from cnnkit.base.weight import draw
from cnnkit.errors import OptionError, ShapeError
from cnnkit.testing import parametrize_layer_checks

SPEC = Path(__file__).parent.parent / "specs" / "gabor.toml"


@parametrize_layer_checks(
    [
        (Gabor(), (1, 6, 7)),
        (Gabor(orientations=3, phase="odd", kernel=4), (3, 5, 5)),
        (Gabor(orientations=1, phase="even", kernel=3, wavelength=2.5), (2, 4, 3)),
    ]
)
def test_layers(layer, shape, check):
    check(layer, shape)


def slow_filter(layer, k, wave):
    """One filter, pixel by pixel."""
    middle, turn = (layer.kernel - 1) / 2, pi * k / layer.orientations
    pixels = np.zeros((layer.kernel, layer.kernel))
    for row in range(layer.kernel):
        for column in range(layer.kernel):
            across, down = column - middle, row - middle
            u = across * cos(turn) + down * sin(turn)
            v = -across * sin(turn) + down * cos(turn)
            window = exp(-(u * u + layer.aspect**2 * v * v) / (2 * layer.sigma**2))
            pixels[row, column] = window * wave(2 * pi * u / layer.wavelength)
    pixels -= pixels.mean()
    return pixels / np.sqrt((pixels**2).sum())


@pytest.mark.parametrize("kernel", [4, 7])
def test_the_bank_is_the_formula(kernel):
    layer = Gabor(orientations=3, kernel=kernel, wavelength=5.0, sigma=1.5, aspect=0.8)
    wanted = [slow_filter(layer, k, wave) for wave in (cos, sin) for k in range(3)]
    np.testing.assert_allclose(layer.bank(), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", range(4))
def test_each_orientation_sees_its_own_stripes(k):
    layer = Gabor(phase="even")
    down, across = np.mgrid[:25, :25]
    u = across * cos(pi * k / 4) + down * sin(pi * k / 4)
    stripes = np.cos(2 * pi * u / layer.wavelength)[None, None]
    y, _ = layer.forward(
        stripes, draw(layer.weights((1, 25, 25)), np.random.default_rng(), np.float64), Context()
    )
    assert np.abs(y[0, :, 5:-5, 5:-5]).max(axis=(1, 2)).argmax() == k


def test_a_flat_image_gives_nothing_inside():
    layer = Gabor()
    weights = draw(layer.weights((3, 15, 15)), np.random.default_rng(), np.float64)
    y, _ = layer.forward(np.full((1, 3, 15, 15), 0.7), weights, Context())
    np.testing.assert_allclose(y[:, :, 3:-3, 3:-3], 0, atol=1e-12)


def test_training_leaves_the_filters_alone(tmp_path):
    run = cnnkit.train(cnnkit.load_spec(SPEC, set=["train.epochs=1"]), out=tmp_path / "run")
    weights = flatten(run.model.weights)
    wanted = Gabor(orientations=6, kernel=5, wavelength=4.0, sigma=1.5).bank()
    np.testing.assert_array_equal(weights["0_gabor/W"][:, 0], wanted.astype(np.float32))
    assert run.summary["test"]["accuracy"] > 0.7


def test_refuses_what_is_not_an_image():
    with pytest.raises(ShapeError) as refused:
        Gabor().output_shape((5,))
    assert str(refused.value) == (
        "needs images of shape (C,H,W), but is given (5); put it before any flatten or dense layer"
    )


@pytest.mark.parametrize("options", [{"kernel": 2}, {"wavelength": 2.0}, {"phase": "neither"}])
def test_refuses_other_options(options):
    with pytest.raises(OptionError):
        Gabor(**options)
