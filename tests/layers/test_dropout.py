"""Dropout: its moments, its mask, and where its randomness comes from."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.base import Context
from cnnkit.errors import OptionError
from cnnkit.layers import Dropout

TRAINING = Context(training=True, path="3_dropout")


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments(rate, dtype):
    """A share `rate` of the values is zero, the rest grows so that the mean stays."""
    x = np.ones((100, 10, 10), dtype)
    y, _ = Dropout(rate=rate).forward(x, {}, TRAINING)
    assert y.dtype == dtype
    assert set(np.round(np.unique(y), 5)) == {0, np.round(dtype(1 / (1 - rate)), 5)}
    deviation = (rate * (1 - rate) / x.size) ** 0.5
    assert abs((y == 0).mean() - rate) < 4 * deviation
    assert abs(y.mean() - 1) < 4 * deviation / (1 - rate)


def test_backward_has_the_mask_of_forward():
    x = np.full((8, 50), 3.0)
    y, back = Dropout(rate=0.4).forward(x, {}, TRAINING)
    dx, grads = back(np.full((8, 50), 3.0))
    assert np.array_equal(dx, y)
    assert grads == {}


def test_the_identity_outside_training_and_at_rate_zero():
    x = np.random.default_rng(0).standard_normal((4, 5))
    for layer, ctx in [(Dropout(rate=0.9), Context()), (Dropout(rate=0.0), TRAINING)]:
        y, back = layer.forward(x, {}, ctx)
        assert np.array_equal(y, x)
        assert np.array_equal(back(x)[0], x)


def test_the_mask_is_a_function_of_key_and_path_alone():
    def mask(**options):
        ctx = Context(**{"training": True, "key": (1, 2, 3, 4), "path": "0_dropout", **options})
        return Dropout().forward(np.ones((4, 99)), {}, ctx)[0].tobytes()

    others = [mask(key=key) for key in [(0, 2, 3, 4), (1, 0, 3, 4), (1, 2, 0, 4), (1, 2, 3, 0)]]
    assert mask() == mask()
    assert len({mask(), mask(path="1_dropout"), *others}) == 6


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, "0.5", float("nan")])
def test_rates_that_mean_nothing(rate):
    with pytest.raises(OptionError):
        Dropout(rate=rate)
