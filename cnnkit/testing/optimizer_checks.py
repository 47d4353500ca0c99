"""The kit for optimizers."""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from cnnkit.base import Optimizer
from cnnkit.testing import optimizer_samples as samples
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close, require_same
from cnnkit.testing.components import Known
from cnnkit.testing.failure import require
from cnnkit.testing.manners import manner_checks
from cnnkit.testing.optimizer_step_checks import OPTIMIZER_STEP_CHECKS
from cnnkit.testing.option_checks import OPTION_CHECKS


@check
def state_is_shaped_like_weights(optimizer: Optimizer, seed: int = 0) -> None:
    """init_state gives `{slot: {path: array}}`, each array like its weight; updates keep that."""
    for dtype in (np.float32, np.float64):
        weights = samples.weights(seed, dtype)
        state = optimizer.init_state(weights)
        for _ in range(2):
            for slot, arrays in state.items():
                wrong = [p for p, a in arrays.items() if not samples.is_like(a, weights.get(p))]
                require(
                    not wrong,
                    f"state {slot!r} is not shaped like the weights at {', '.join(wrong)}",
                    expected="arrays of the weights' paths, shapes and dtype",
                    got=str([(p, arrays[p].shape, arrays[p].dtype.name) for p in wrong]),
                    fix="make it by np.zeros_like(weight), and update it in place",
                )
            optimizer.update(weights, samples.grads(seed, dtype), state, samples.LR, 0)


@check
def updates_in_place(optimizer: Optimizer, seed: int = 0) -> None:
    """update moves the very arrays it is given, and keeps their dtype."""
    for dtype in (np.float32, np.float64):
        weights = samples.weights(seed, dtype)
        held, before = dict(weights), deepcopy(weights)
        optimizer.update(
            weights, samples.grads(seed, dtype), optimizer.init_state(weights), samples.LR, 0
        )
        for path in samples.grads(seed, dtype):
            moved = held[path] is weights[path] and not np.array_equal(held[path], before[path])
            require(
                moved and held[path].dtype == dtype,
                f"update does not move {path} in place",
                expected="new values in the same array",
                got="the old values" if held[path] is weights[path] else "another array",
                fix="write weights[path] -= step, not weights[path] = weights[path] - step",
            )


@check
def only_graded_weights_move(optimizer: Optimizer, seed: int = 0) -> None:
    """Weights without a gradient, such as buffers, stay as they are."""
    weights, before = samples.weights(seed), samples.weights(seed)
    samples.run(optimizer, weights, optimizer.init_state(weights), range(3), seed)
    moved = before[samples.BUFFER], weights[samples.BUFFER]
    what = f"{samples.BUFFER} has no gradient, but moves"
    require_same(*moved, what, fix="loop over grads.items(), not over weights")


@check
def rate_zero_moves_nothing(optimizer: Optimizer, seed: int = 0) -> None:
    """With a learning rate of 0 nothing moves, weight decay included."""
    weights, before = samples.weights(seed), samples.weights(seed)
    optimizer.update(weights, samples.grads(seed), optimizer.init_state(weights), 0.0, 0)
    fix = "use the lr that update is given, which holds the schedule; not self.lr"
    what = "{name} moves with lr = 0"
    require_close(before, weights, what, expected="the old values", fix=fix)


@check
def resumed_equals_uninterrupted(optimizer: Optimizer, seed: int = 0) -> None:
    """Weights, state and step say all: a resumed run goes on as if nothing had happened."""
    whole, weights = samples.weights(seed), samples.weights(seed)
    samples.run(optimizer, whole, optimizer.init_state(whole), range(6), seed)
    state = optimizer.init_state(weights)
    samples.run(optimizer, weights, state, range(3), seed)
    context = {"registry": Known(optimizer)}
    fresh = type(optimizer).model_validate(optimizer.model_dump(), context=context)
    saved = deepcopy((weights, state))
    samples.run(fresh, *saved, range(3, 6), seed)
    fix = "keep everything in state, and count steps by `step`"
    what = "{name} differs after a resume"
    require_close(whole, saved[0], what, expected="the uninterrupted run's", fix=fix)


@check
def slices_equal_whole(optimizer: Optimizer, seed: int = 0) -> None:
    """An optimizer that declares `elementwise` gives the same on slices of the arrays."""
    if not optimizer.elementwise:
        return
    whole = samples.weights(seed)
    samples.run(optimizer, whole, optimizer.init_state(whole), range(3), seed)
    parts = samples.weights(seed)
    state = optimizer.init_state(parts)
    for step in range(3):
        for cut in (slice(None, 2), slice(2, None)):
            optimizer.update(
                *samples.cut(cut, parts, samples.grads(seed + step), state),
                samples.LR,
                step,
            )
    fix = "read no norm or mean of the whole array, or leave out `elementwise`"
    require_close(whole, parts, "{name} differs by slices", expected="the whole's", fix=fix)


def _use(optimizer: Optimizer, seed: int = 0) -> None:
    state = optimizer.init_state(weights := samples.weights(seed, np.float32))
    for step in range(2):
        optimizer.update(weights, samples.grads(seed, np.float32), state, samples.LR, step)


OPTIMIZER_CHECKS: tuple[Check, ...] = (
    *OPTION_CHECKS,
    state_is_shaped_like_weights,
    *manner_checks(_use),
    updates_in_place,
    only_graded_weights_move,
    rate_zero_moves_nothing,
    resumed_equals_uninterrupted,
    slices_equal_whole,
    *OPTIMIZER_STEP_CHECKS,
)


def check_optimizer(optimizer: Optimizer, *, seed: int = 0) -> None:
    """Run every check on an optimizer.

    Raises:
        CheckFailure: for the first check that fails; it says what to mend.
    """
    __tracebackhide__ = True
    for one in OPTIMIZER_CHECKS:
        one(optimizer, seed)
