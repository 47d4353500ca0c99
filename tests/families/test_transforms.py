"""The transform scale."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.arrays import Arena, Scratch
from cnnkit.errors import OptionError
from cnnkit.transforms import Scale

ALL = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.5), (0.0, 1.0), (-1.0, 1.0)])
def test_every_pixel_value_rounds_once(low, high):
    y = Scale(low=low, high=high).apply(ALL, None, Scratch())
    assert y.dtype == np.float32
    exact = [low + value * (high - low) / 255 for value in range(256)]  # Python floats: float64
    np.testing.assert_array_equal(y.ravel(), np.array(exact).astype(np.float32))


def test_odd_bounds():
    y = Scale(low=-3.7, high=91.3).apply(ALL, None, Scratch())
    np.testing.assert_allclose(y.ravel(), -3.7 + np.arange(256) * 95 / 255, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_keeps_its_dtype(dtype):
    x = np.array([[[[0.0, 255.0, 127.5, 51.0]]]], dtype)
    y = Scale().apply(x, None, Scratch())
    assert y.dtype == dtype
    np.testing.assert_allclose(y, [[[[-0.5, 0.5, 0.0, -0.3]]]], rtol=1e-6)


def test_float16_is_scaled_as_float32():
    wide = Scale().apply(ALL, None, Scratch())
    y = Scale().apply(ALL.astype(np.float16), None, Scratch())
    assert y.dtype == np.float32
    assert np.array_equal(y, wide)


def test_input_is_not_modified_and_may_be_strided():
    x = np.random.default_rng(0).integers(0, 256, (3, 2, 6, 8), np.uint8)
    strided = x[::2, :, ::2, ::-1]
    before = x.copy()
    y = Scale().apply(strided, None, Scratch())
    np.testing.assert_array_equal(y, Scale().apply(np.ascontiguousarray(strided), None, Scratch()))
    np.testing.assert_array_equal(x, before)


def test_one_scratch_array_and_nothing_else():
    class Counting(Arena):
        asked = 0

        def empty(self, shape, dtype=np.float32):
            self.asked += 1
            return super().empty(shape, dtype)

    scratch = Counting()
    first = Scale().apply(ALL, None, scratch)
    scratch.reset()
    second = Scale().apply(ALL, None, scratch)
    assert scratch.asked == 2
    assert np.shares_memory(first, second)


def test_defaults():
    assert Scale().model_dump() == {
        "type": "scale", "low": -0.5, "high": 0.5, "range": (0.0, 255.0)
    }  # fmt: skip
    assert Scale().output_shape((3, 4, 5)) == (3, 4, 5)
    assert not Scale.random


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (1.0, -1.0), (0.0, 1e-320)])
def test_bounds_out_of_order(low, high):
    with pytest.raises(OptionError) as caught:
        Scale(low=low, high=high)
    assert str(caught.value) == (
        f"error: scale: high must be above low, got low = {low} and high = {high}"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30, "0"])
def test_bounds_that_are_no_bounds(value):
    with pytest.raises(OptionError):
        Scale(low=value)
