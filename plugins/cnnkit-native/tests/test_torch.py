"""Fused steps against PyTorch, where it is installed: somebody else's arithmetic altogether."""

from __future__ import annotations

import numpy as np
import pytest
from cnnkit_native.step import Fused

from cnnkit.arrays import flatten
from cnnkit.base import Context
from cnnkit.model import Model

torch = pytest.importorskip("torch")

LAYERS = [
    {"type": "conv", "filters": 16, "kernel": 5, "stride": 2, "padding": 2},
    "relu",
    {"type": "conv", "filters": 32, "kernel": 3, "padding": 1},  # by Winograd's rule
    "relu",
    {"type": "pool", "size": 3, "stride": 2},
    {"type": "conv", "filters": 8, "kernel": [3, 1], "groups": 4, "dilation": [2, 1]},
    {"type": "pool", "kind": "mean"},
    {"type": "dense", "units": 11},
    "sigmoid",
    {"type": "softmax", "units": 5},
]


def forward(x, w):
    F = torch.nn.functional
    y = F.relu(F.conv2d(x, *w[0], stride=2, padding=2))
    y = F.relu(F.conv2d(y, *w[1], padding=1))
    y = F.conv2d(F.max_pool2d(y, 3, 2), *w[2], groups=4, dilation=(2, 1))
    y = F.avg_pool2d(y, 2).flatten(1)
    y = torch.sigmoid(y @ w[3][0] + w[3][1])
    return torch.softmax(y @ w[4][0] + w[4][1], 1)


def test_as_pytorch_does(isa):
    model = Model.build(LAYERS, (3, 33, 31), seed=1)
    rng = np.random.default_rng(2)
    x = rng.standard_normal((4, 3, 33, 31)).astype(np.float32)
    step = Fused(model.network.steps)
    y, back = step.forward(x, model.weights, Context(training=True))
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, grads = back(dy)

    double = {p: torch.tensor(w, dtype=torch.float64) for p, w in flatten(model.weights).items()}
    leaves = [w.requires_grad_() for w in double.values()]
    input = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    output = forward(input, list(zip(leaves[::2], leaves[1::2], strict=True)))
    output.backward(torch.tensor(dy, dtype=torch.float64))
    wanted = {"y": output.detach(), "dx": input.grad}
    wanted |= {path: w.grad for path, w in double.items()}
    got = {"y": y, "dx": dx, **flatten(grads)}
    assert got.keys() == wanted.keys()
    for name, array in got.items():
        reference = wanted[name].numpy()
        assert np.abs(array - reference).max() <= 2e-5 * np.abs(reference).max(), name
