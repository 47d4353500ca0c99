"""Cut GEMMs equal whole ones, whatever the sizes."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.kernels import gemm

SIZES = [(30, 31, 840), (96, 97, 812), (64, 40, 840), (7, 11, 13), (97, 89, 499), (1, 1, 1)]


def draw(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("m", "k", "L"), SIZES)
@pytest.mark.parametrize("gap", [0, 60])
def test_product(m, k, L, gap):
    M, cols, out = draw(m, k), draw(2, k, L), np.full((2, m, L + gap), 7, np.float32)
    gemm.product(M, cols, out[..., :L])
    np.testing.assert_allclose(out[..., :L], M @ cols, rtol=0, atol=1e-4)
    assert (out[..., L:] == 7).all()


@pytest.mark.parametrize(("m", "k", "L"), SIZES)
def test_gradient(m, k, L):
    dout, cols, out = draw(2, m, L), draw(2, k, L), np.empty((2, m, k), np.float32)
    gemm.gradient(dout, cols, out)
    np.testing.assert_allclose(out, dout @ cols.transpose(0, 2, 1), rtol=0, atol=1e-3)
