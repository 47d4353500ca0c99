"""What programs were not written for is left to NumPy, and never computed as something else."""

import numpy as np
import pytest
from cnnkit_native.graph import knows
from cnnkit_native.heads import faster_loss

from cnnkit.layers import Dropout, Pool, Residual
from cnnkit.losses import _SoftmaxCrossEntropy


@pytest.mark.parametrize(
    "layer",
    [
        Pool(kind="mean", padding=1, count_padding=True),
        Residual(body=["relu"], drop=0.5),
        Residual(body=[{"type": "conv", "filters": 3, "kernel": 1}], project=True),
        Dropout(rate=0.5),
    ],
)
def test_other_layers_and_options(layer):
    assert not knows(layer)


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("soft", [False, True])
def test_weights_and_soft_targets_count(weights, soft):
    rng = np.random.default_rng(0)
    y = rng.standard_normal((5, 3)).astype(np.float32)
    labels = np.array([0, 1, 2, 1, 0])
    targets = np.eye(3, dtype=np.float32)[labels] * 0.7 + 0.1 if soft else labels
    plain = _SoftmaxCrossEntropy(label_smoothing=0.1, weights=weights)
    losses, dy = faster_loss(plain).forward(y, targets)
    expected, expected_dy = plain.forward(y, targets)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(dy(), expected_dy(), rtol=1e-5, atol=1e-6)
