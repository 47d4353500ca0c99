"""Parity with PyTorch: live where it is installed, and against its numbers where it is not.

`python tests/optimizers/test_torch.py` prints STORED anew; made with torch 2.13.0.
"""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.optimizers import Adam, Sgd

STEPS = 10
START = [-1.0, 0.25, 2.0]
CASES = {
    "sgd": (Sgd(lr=0.1), "SGD", {"lr": 0.1}),
    "momentum": (Sgd(lr=0.1, momentum=0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
    "nesterov": (
        Sgd(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.1),
        "SGD",
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    ),
    "adam": (Adam(lr=0.01), "Adam", {"lr": 0.01}),
    "adamw": (
        Adam(lr=0.02, betas=(0.7, 0.9), eps=1e-4, weight_decay=0.3),
        "AdamW",
        {"lr": 0.02, "betas": (0.7, 0.9), "eps": 1e-4, "weight_decay": 0.3},
    ),
}
STORED: dict[str, list[float]] = {
    "sgd": [-1.162898808515929, -0.02756874705461016, 1.6849376527868942],
    "momentum": [-1.9259339529223825, 0.11482269340360077, 0.6926863601780537],
    "nesterov": [-1.1779624605063965, -0.010027884319401338, 0.9844730141944333],
    "adam": [-1.0183989148206818, 0.14886502509437058, 1.9890934676028953],
    "adamw": [-0.9795137098920462, 0.03784321147367014, 1.8511495158025415],
}


def gradient(w, step):
    return np.sin((step + 2) * w) + 0.3


def by_torch(name):
    """Return the weights after STEPS steps of torch.optim in float64."""
    import torch

    _, kind, options = CASES[name]
    w = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, kind)([w], **options)
    for step in range(STEPS):
        w.grad = torch.from_numpy(gradient(w.detach().numpy(), step))
        optimizer.step()
    return w.detach().tolist()


def by_cnnkit(name):
    optimizer = CASES[name][0]
    weights = {"W": np.array(START)}
    state = optimizer.init_state(weights)
    for step in range(STEPS):
        optimizer.update(weights, {"W": gradient(weights["W"], step)}, state, optimizer.lr, step)
    return weights["W"].tolist()


@pytest.mark.parametrize("name", CASES)
def test_stored_numbers(name):
    assert by_cnnkit(name) == pytest.approx(STORED[name], abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_live(name):
    pytest.importorskip("torch")
    assert by_cnnkit(name) == pytest.approx(by_torch(name), abs=1e-12)


if __name__ == "__main__":
    for name in CASES:
        print(f'    "{name}": {by_torch(name)},')
