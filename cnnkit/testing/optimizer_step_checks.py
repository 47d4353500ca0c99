"""Checks of where an optimizer's steps lead, and of the gradients that it is lent."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, flatten
from cnnkit.base import Optimizer
from cnnkit.testing import optimizer_samples as samples
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import not_finite, require_close
from cnnkit.testing.failure import require

_DESCENT = 50
"""Steps downhill: none of the built-in optimizers passes the bottom on the way."""


@check
def gradients_are_not_kept(optimizer: Optimizer, seed: int = 0) -> None:
    """Nothing reads a gradient after its update: the engine writes the next into its memory."""
    wanted, got = (_after_steps(optimizer, seed, spoil) for spoil in (False, True))
    what = "{name} changes where a gradient is overwritten after its update"
    fix = "keep a copy, written in place: state[slot][path][...] = grad"
    require_close(wanted, got, what, expected="the same values", fix=fix)


@check
def steps_go_downhill(optimizer: Optimizer, seed: int = 0) -> None:
    """Small steps with the gradient of |w|**2 / 2, which is w, make every weight array shorter."""
    weights = {path: W + np.sign(W) for path, W in samples.weights(seed).items()}
    before = {path: float(np.linalg.norm(W)) for path, W in weights.items()}
    state, learning = optimizer.init_state(weights), samples.grads(seed)
    for step in range(_DESCENT):
        grads = {path: weights[path].copy() for path in learning}
        optimizer.update(weights, grads, state, samples.LR, step)
    for path in learning:
        after = float(np.linalg.norm(weights[path]))
        require(
            after < before[path],
            f"{_DESCENT} steps with the gradient of |w|**2 / 2 do not shorten {path}",
            expected=f"a length below {before[path]:.6g}, as |w|**2 / 2 falls",
            got=f"{after:.6g}",
            fix="step against the gradient: weights[path] -= lr * grad",
        )


@check
def stays_finite(optimizer: Optimizer, seed: int = 0) -> None:
    """Zero and large gradients leave finite weights."""
    for factor in (0.0, 1e4):
        weights = samples.weights(seed, np.float32)
        state = optimizer.init_state(weights)
        for step in range(3):
            grads = {p: g * np.float32(factor) for p, g in samples.grads(seed, np.float32).items()}
            optimizer.update(weights, grads, state, samples.LR, step)
        lost = list(not_finite(weights))
        require(
            not lost,
            f"gradients times {factor:g} give NaN or infinity",
            expected="finite weights",
            got="; ".join(lost),
            fix="add an epsilon where a gradient's size divides",
        )


OPTIMIZER_STEP_CHECKS: tuple[Check, ...] = (
    gradients_are_not_kept,
    steps_go_downhill,
    stays_finite,
)


def _after_steps(optimizer: Optimizer, seed: int, spoil: bool) -> dict[str, Array]:
    """Return weights and state after some steps; `spoil` overwrites every gradient with NaN."""
    weights = samples.weights(seed)
    state = optimizer.init_state(weights)
    for step in range(4):
        grads = samples.grads(seed + step)
        optimizer.update(weights, grads, state, samples.LR, step)
        for grad in grads.values() if spoil else ():
            grad.fill(np.nan)
    return {**weights, **flatten({f"state {slot!r}": arrays for slot, arrays in state.items()})}
