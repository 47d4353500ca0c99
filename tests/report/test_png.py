"""PNG files: read by another program, they are the arrays that went in."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from cnnkit.report.png import beside, largest, picture, pixels_of, png, signed

PIL = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (3, 4, 3), (64, 1, 3)])
def test_pillow_reads_what_was_written(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with PIL.open(io.BytesIO(png(pixels))) as image:
        image.verify()
    with PIL.open(io.BytesIO(png(pixels))) as image:
        assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("colours", [1, 2, 255, 256, 257])
def test_few_colours_are_numbered(colours):
    rng = np.random.default_rng(0)
    some = rng.permutation(2**24)[:colours]
    pixels = some[np.arange(40 * 50).reshape(40, 50) % colours]
    pixels = np.stack([pixels >> 16, pixels >> 8 & 255, pixels & 255], axis=2).astype(np.uint8)
    with PIL.open(io.BytesIO(png(pixels))) as image:
        assert image.mode == ("P" if colours <= 256 else "RGB")
        assert np.array_equal(np.asarray(image.convert("RGB")), pixels)


def test_large_pictures_are_thinned_out():
    pixels = np.arange(200 * 100, dtype=np.uint32).reshape(200, 100).astype(np.uint8)
    found = picture(pixels, "alt", most=64)
    assert (found.width, found.height) == (25, 50)
    raw = base64.b64decode(found.source.partition(",")[2])
    with PIL.open(io.BytesIO(raw)) as image:
        assert np.array_equal(np.asarray(image), pixels[::4, ::4])


def test_images_of_any_channels_and_values():
    grey = np.array([[[-0.5, 0.0, 0.5]]], np.float32)
    assert pixels_of(grey, (-0.5, 0.5)).tolist() == [[0, 128, 255]]
    colour = np.zeros((3, 2, 4), np.uint8)
    colour[1] = 255
    assert pixels_of(colour, (0, 255))[0, 0].tolist() == [0, 255, 0]
    assert pixels_of(np.zeros((5, 2, 2)), (0, 1)).shape == (2, 2)
    assert pixels_of(np.zeros(7), (0, 1)).shape == (1, 7)
    odd = np.array([[[np.nan, np.inf, -np.inf]]])
    assert pixels_of(odd, (0, 1)).tolist() == [[0, 255, 0]]


def test_signs_are_told_apart_by_lightness():
    """Relative luminance rises from negative to positive: print without colour shows the sign."""
    colours = signed(np.linspace(-1, 1, 21)[None], 1.0)[0] / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    red, green, blue = colours[10]
    assert max(red, green, blue) - min(red, green, blue) < 0.05  # zero is grey


def test_what_is_not_finite_is_grey():
    assert signed(np.array([[np.nan]]), 1.0).tolist() == signed(np.array([[0.0]]), 1.0).tolist()
    assert largest(np.array([np.nan, -3.0, np.inf])) == 3.0
    assert largest(np.zeros(3)) == largest(np.array([np.nan])) == 1.0


def test_beside():
    tiles = [np.full((2, 2, 3), value, np.uint8) for value in (10, 20)]
    assert beside(tiles)[0, :, 0].tolist() == [10, 10, 255, 20, 20]
