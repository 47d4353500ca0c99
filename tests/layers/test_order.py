"""A relu before a max pool runs after it, and nobody can tell but by the clock."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.base import Context
from cnnkit.layers import Pool, Relu, Sequential


@pytest.mark.parametrize("pool", [
    Pool(), Pool(size=3, stride=1), Pool(size=2, stride=3), Pool(size=3, stride=2, padding=1),
    Pool(size=2, padding="same", ceil=True),
])  # fmt: skip
def test_values_and_gradients_are_those_of_the_written_order(pool):
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 3, (4, 2, 7, 8)).astype(np.float32)  # ties, zeros, all-negative windows
    x[0, 0, :4, :4] = -1
    chain = Sequential(layers=[Relu(), pool])
    assert [name for name, _ in chain.steps] == ["1_pool", "0_relu"]
    y, back = chain.forward(x, {}, Context())
    cut, relu_back = Relu().forward(x, {}, Context())
    expected, pool_back = pool.forward(cut, {}, Context())
    np.testing.assert_array_equal(y, expected)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    np.testing.assert_array_equal(back(dy)[0], relu_back(pool_back(dy)[0])[0])


@pytest.mark.parametrize("kind", ["min", "mean"])
def test_other_pools_stay_where_they_are(kind):
    chain = Sequential(layers=[Relu(), Pool(kind=kind)])
    assert [name for name, _ in chain.steps] == ["0_relu", "1_pool"]
