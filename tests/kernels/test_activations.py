"""GELU, SiLU and hard swish against math.erf and math.exp, one number at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cnnkit.arrays import Arena, Scratch
from cnnkit.kernels.gelu import gelu, gelu_tanh
from cnnkit.kernels.silu import hard_swish, silu

GRID = np.concatenate([np.linspace(-12, 12, 4801), [-40.0, 40.0, -1e3, 1e3, 1e-8, -0.0]])


def normal(x):
    return math.erfc(-x / math.sqrt(2)) / 2


def density(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def logistic(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def tanh_form(x):
    return x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def slope(f):
    """Return the derivative by a central difference that rounding leaves ten digits of."""
    return lambda x: (8 * (f(x + 1e-3) - f(x - 1e-3)) - f(x + 2e-3) + f(x - 2e-3)) / 12e-3


FORMULAS = {
    "gelu": (gelu, lambda x: x * normal(x), lambda x: normal(x) + x * density(x), 1e-15),
    "gelu_tanh": (gelu_tanh, tanh_form, slope(tanh_form), 1e-9),
    "silu": (
        silu,
        lambda x: x * logistic(x),
        lambda x: logistic(x) * (1 + x * (1 - logistic(x))),
        1e-15,
    ),
    "hard_swish": (
        hard_swish,
        lambda x: x * min(max(x + 3, 0), 6) / 6,
        lambda x: 0 if x < -3 else 1 if x > 3 else x / 3 + 0.5,
        1e-15,
    ),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_slopes(name, dtype):
    function, value, derivative, bound = FORMULAS[name]
    x = GRID[np.abs(np.abs(GRID) - 3) > 1e-9].astype(dtype)  # hard swish has its corners at 3
    arena = Arena()
    for _ in range(2):
        arena.reset()
        y, back = function(x, arena)
        dx = back(np.full_like(x, 2))
    assert y.dtype == dx.dtype == dtype
    wide = x.astype(np.float64).tolist()
    bound = bound if dtype is np.float64 else 3e-7
    size = np.maximum(1, np.abs(x))
    assert np.max(np.abs(y - list(map(value, wide))) / size) < bound
    assert np.max(np.abs(dx - 2 * np.array(list(map(derivative, wide)))) / size) < 4 * bound


def test_the_tanh_form_is_off_by_less_than_it_says():
    x = np.linspace(-6, 6, 10001)
    difference = gelu(x, Scratch())[0] - gelu_tanh(x, Scratch())[0]
    assert 4e-4 < np.abs(difference).max() < 5e-4


def test_far_below_zero_gelu_keeps_its_digits():
    x = np.array([-5.0, -8.0])
    wanted = [v * normal(v) for v in x.tolist()]
    np.testing.assert_allclose(gelu(x, Scratch())[0], wanted, rtol=1e-13)
