"""Initializers by their moments."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from cnnkit.base import Fans
from cnnkit.errors import OptionError
from cnnkit.initializers import Glorot, He, Normal, SeedNormal, Uniform, Zeros

FANS = Fans(fan_in=150, fan_out=50, area=25)
SHAPE = (200, 500)
# (initializer, mean, standard deviation, largest magnitude around the mean or None)
MOMENTS = [
    (Glorot(), 0, sqrt(2 / 200), sqrt(6 / 200)),
    (Glorot(distribution="uniform"), 0, sqrt(2 / 200), sqrt(6 / 200)),
    (Glorot(distribution="normal"), 0, sqrt(2 / 200), None),
    (He(), 0, sqrt(2 / 150), None),
    (He(distribution="normal"), 0, sqrt(2 / 150), None),
    (He(distribution="uniform"), 0, sqrt(2 / 150), sqrt(6 / 150)),
    (Normal(), 0, 0.05, None),
    (Normal(mean=3, std=0.2), 3, 0.2, None),
    (Normal(mean=3, std=0), 3, 0, 0),
    (Uniform(), 0, 0.1 / sqrt(12), 0.05),
    (Uniform(low=1, high=4), 2.5, 3 / sqrt(12), 1.5),
    (Zeros(), 0, 0, 0),
    (SeedNormal(), 0, 1 / 25, None),
]


@pytest.mark.parametrize(("initializer", "mean", "std", "limit"), MOMENTS)
def test_moments(initializer, mean, std, limit):
    drawn = initializer.draw(SHAPE, FANS, np.random.default_rng(0))
    assert drawn.shape == SHAPE
    assert drawn.dtype == np.float64
    deviation = drawn - mean
    if std == 0:
        assert not deviation.any()
        return
    standard = deviation / std
    uniform = limit is not None
    error = 5 / sqrt(drawn.size)  # five standard errors of a mean of unit-variance numbers
    assert abs(standard.mean()) < error
    assert (standard**2).mean() == pytest.approx(1, abs=2 * error)
    # The fourth moment tells the shapes apart: 1.8 for a uniform distribution, 3 for a normal one.
    assert (standard**4).mean() == pytest.approx(1.8 if uniform else 3, abs=0.2)
    if uniform:
        assert np.abs(deviation).max() <= limit
        assert np.abs(deviation).max() > 0.999 * limit


@pytest.mark.parametrize("initializer", [case[0] for case in MOMENTS])
def test_the_generator_alone_decides(initializer):
    first, again, other = (
        initializer.draw((3, 4), FANS, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    constant = initializer.type == "zeros" or getattr(initializer, "std", 1) == 0
    assert np.array_equal(first, other) == constant


def test_each_initializer_uses_its_own_fan():
    """Quadrupling what it divides by halves the spread (quarters it for seed_normal)."""

    def scale(initializer, **fans):
        drawn = [
            initializer.draw((5,), Fans(**({"fan_in": 1, "fan_out": 1, "area": 1} | f)), rng())
            for f in ({}, fans)
        ]
        return pytest.approx(float(drawn[1][0] / drawn[0][0]))

    def rng():
        return np.random.default_rng(3)

    assert scale(He(), fan_in=4) == 0.5
    assert scale(He(), fan_out=4, area=4) == 1
    assert scale(Glorot(), fan_in=4, fan_out=4) == 0.5
    assert scale(Glorot(), fan_in=7) == scale(Glorot(), fan_out=7) == 0.5
    assert scale(SeedNormal(), area=4) == 0.25
    assert scale(SeedNormal(), fan_in=4, fan_out=4) == 1


def test_uniform_limits_in_the_wrong_order():
    with pytest.raises(OptionError) as caught:
        Uniform(low=0.5, high=0.5)
    assert str(caught.value) == (
        "error: uniform: low must be below high, got low = 0.5, high = 0.5"
    )


@pytest.mark.parametrize(
    ("cls", "options"),
    [(Normal, {"std": -1}), (Normal, {"mean": float("nan")}), (He, {"distribution": "cauchy"})],
)
def test_options_out_of_range(cls, options):
    with pytest.raises(OptionError):
        cls(**options)
