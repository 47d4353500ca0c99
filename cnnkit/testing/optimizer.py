"""The kit for optimizers."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, flatten
from cnnkit.base import Optimizer
from cnnkit.base.optimizer import State
from cnnkit.testing import options
from cnnkit.testing.check import Kit, require
from cnnkit.testing.manners import manners
from cnnkit.testing.tools import Known, not_finite, require_close, require_same

_first = Kit("optimizer", options.kit)

_DESCENT = 50
"""Steps downhill: none of the built-in optimizers passes the bottom on the way."""
_SHAPES = {"0_conv/W": (4, 3), "0_conv/b": (3,), "1_norm/mean": (5,)}
_FIXED = "1_norm/mean"
"""The array that gets no gradient."""
_LR = 0.01
"""The learning rate of every step."""


@_first.check
def state_is_shaped_like_weights(optimizer: Optimizer, seed: int = 0) -> None:
    """init_state gives `{slot: {path: array}}`, each array like its weight; updates keep that."""
    for dtype in (np.float32, np.float64):
        weights = _weights(seed, dtype)
        state = optimizer.init_state(weights)
        for _ in range(2):
            for slot, arrays in state.items():
                wrong = [p for p, a in arrays.items() if not _is_like(a, weights.get(p))]
                require(
                    not wrong,
                    f"state {slot!r} is not shaped like the weights at {', '.join(wrong)}",
                    expected="arrays of the weights' paths, shapes and dtype",
                    got=str([(p, arrays[p].shape, arrays[p].dtype.name) for p in wrong]),
                    fix="make it by np.zeros_like(weight), and update it in place",
                )
            optimizer.update(weights, _grads(seed, dtype), state, _LR, 0)


def _use(optimizer: Optimizer, seed: int = 0) -> None:
    state = optimizer.init_state(weights := _weights(seed, np.float32))
    for step in range(2):
        optimizer.update(weights, _grads(seed, np.float32), state, _LR, step)


kit = Kit("optimizer", _first, manners(_use))


@kit.check
def updates_in_place(optimizer: Optimizer, seed: int = 0) -> None:
    """update moves the very arrays it is given, and keeps their dtype."""
    for dtype in (np.float32, np.float64):
        weights = _weights(seed, dtype)
        held, before = dict(weights), deepcopy(weights)
        optimizer.update(weights, _grads(seed, dtype), optimizer.init_state(weights), _LR, 0)
        for path in _grads(seed, dtype):
            moved = held[path] is weights[path] and not np.array_equal(held[path], before[path])
            require(
                moved and held[path].dtype == dtype,
                f"update does not move {path} in place",
                expected="new values in the same array",
                got="the old values" if held[path] is weights[path] else "another array",
                fix="write weights[path] -= step, not weights[path] = weights[path] - step",
            )


@kit.check
def only_graded_weights_move(optimizer: Optimizer, seed: int = 0) -> None:
    """Weights without a gradient, which do not learn, stay as they are."""
    weights, before = _weights(seed), _weights(seed)
    _run(optimizer, weights, optimizer.init_state(weights), range(3), seed)
    moved = before[_FIXED], weights[_FIXED]
    what = f"{_FIXED} has no gradient, but moves"
    require_same(*moved, what, fix="loop over grads.items(), not over weights")


@kit.check
def rate_zero_moves_nothing(optimizer: Optimizer, seed: int = 0) -> None:
    """With a learning rate of 0 nothing moves, weight decay included."""
    weights, before = _weights(seed), _weights(seed)
    optimizer.update(weights, _grads(seed), optimizer.init_state(weights), 0.0, 0)
    fix = "use the lr that update is given, which holds the schedule; not self.lr"
    what = "{name} moves with lr = 0"
    require_close(before, weights, what, expected="the old values", fix=fix)


@kit.check
def resumed_equals_uninterrupted(optimizer: Optimizer, seed: int = 0) -> None:
    """Weights, state and step say all: a resumed run goes on as if nothing had happened."""
    whole, weights = _weights(seed), _weights(seed)
    _run(optimizer, whole, optimizer.init_state(whole), range(6), seed)
    state = optimizer.init_state(weights)
    _run(optimizer, weights, state, range(3), seed)
    context = {"registry": Known(optimizer)}
    fresh = type(optimizer).model_validate(optimizer.model_dump(), context=context)
    saved = deepcopy((weights, state))
    _run(fresh, *saved, range(3, 6), seed)
    fix = "keep everything in state, and count steps by `step`"
    what = "{name} differs after a resume"
    require_close(whole, saved[0], what, expected="the uninterrupted run's", fix=fix)


@kit.check
def slices_equal_whole(optimizer: Optimizer, seed: int = 0) -> None:
    """An optimizer that declares `elementwise` gives the same on slices of the arrays."""
    if not optimizer.elementwise:
        return
    whole = _weights(seed)
    _run(optimizer, whole, optimizer.init_state(whole), range(3), seed)
    parts = _weights(seed)
    state = optimizer.init_state(parts)
    for step in range(3):
        for cut in (slice(None, 2), slice(2, None)):
            optimizer.update(
                *_cut(cut, parts, _grads(seed + step), state),
                _LR,
                step,
            )
    fix = "read no norm or mean of the whole array, or leave out `elementwise`"
    require_close(whole, parts, "{name} differs by slices", expected="the whole's", fix=fix)


def check_optimizer(optimizer: Optimizer, *, seed: int = 0) -> None:
    """Run every check on an optimizer.

    Raises:
        CheckFailure: for the first check that fails; it says what to mend.
    """
    __tracebackhide__ = True
    kit.run(optimizer, seed)


@kit.check
def gradients_are_not_kept(optimizer: Optimizer, seed: int = 0) -> None:
    """Nothing reads a gradient after its update: the engine writes the next into its memory."""
    wanted, got = (_after_steps(optimizer, seed, spoil) for spoil in (False, True))
    what = "{name} changes where a gradient is overwritten after its update"
    fix = "keep a copy, written in place: state[slot][path][...] = grad"
    require_close(wanted, got, what, expected="the same values", fix=fix)


@kit.check
def steps_go_downhill(optimizer: Optimizer, seed: int = 0) -> None:
    """Small steps with the gradient of |w|**2 / 2, which is w, make every weight array shorter."""
    weights = {path: W + np.sign(W) for path, W in _weights(seed).items()}
    before = {path: float(np.linalg.norm(W)) for path, W in weights.items()}
    state, learning = optimizer.init_state(weights), _grads(seed)
    for step in range(_DESCENT):
        grads = {path: weights[path].copy() for path in learning}
        optimizer.update(weights, grads, state, _LR, step)
    for path in learning:
        after = float(np.linalg.norm(weights[path]))
        require(
            after < before[path],
            f"{_DESCENT} steps with the gradient of |w|**2 / 2 do not shorten {path}",
            expected=f"a length below {before[path]:.6g}, as |w|**2 / 2 falls",
            got=f"{after:.6g}",
            fix="step against the gradient: weights[path] -= lr * grad",
        )


@kit.check
def stays_finite(optimizer: Optimizer, seed: int = 0) -> None:
    """Zero and large gradients leave finite weights."""
    for factor in (0.0, 1e4):
        weights = _weights(seed, np.float32)
        state = optimizer.init_state(weights)
        for step in range(3):
            grads = {p: g * np.float32(factor) for p, g in _grads(seed, np.float32).items()}
            optimizer.update(weights, grads, state, _LR, step)
        lost = list(not_finite(weights))
        require(
            not lost,
            f"gradients times {factor:g} give NaN or infinity",
            expected="finite weights",
            got="; ".join(lost),
            fix="add an epsilon where a gradient's size divides",
        )


def _after_steps(optimizer: Optimizer, seed: int, spoil: bool) -> dict[str, Array]:
    """Return weights and state after some steps; `spoil` overwrites every gradient with NaN."""
    weights = _weights(seed)
    state = optimizer.init_state(weights)
    for step in range(4):
        grads = _grads(seed + step)
        optimizer.update(weights, grads, state, _LR, step)
        for grad in grads.values() if spoil else ():
            grad.fill(np.nan)
    return {**weights, **flatten({f"state {slot!r}": arrays for slot, arrays in state.items()})}


def _weights(seed: int, dtype: npt.DTypeLike = np.float64) -> dict[str, Array]:
    """Draw `{path: array}`."""
    rng = np.random.default_rng([seed, 1])
    return {path: rng.standard_normal(shape).astype(dtype) for path, shape in _SHAPES.items()}


def _grads(seed: int, dtype: npt.DTypeLike = np.float64) -> dict[str, Array]:
    """Draw gradients for all but the one that does not learn."""
    rng = np.random.default_rng([seed, 2])
    drawn = {path: rng.standard_normal(shape).astype(dtype) for path, shape in _SHAPES.items()}
    return {path: grad for path, grad in drawn.items() if path != _FIXED}


def _run(
    optimizer: Optimizer, weights: dict[str, Array], state: State, steps: range, seed: int
) -> None:
    """Do these steps, each with the gradients of its number."""
    for step in steps:
        optimizer.update(weights, _grads(seed + step), state, _LR, step)


def _is_like(array: Array, weight: Array | None) -> bool:
    """Return whether `array` has the shape and dtype of `weight`."""
    return weight is not None and array.shape == weight.shape and array.dtype == weight.dtype


def _cut(
    part: slice, weights: dict[str, Array], grads: dict[str, Array], state: State
) -> tuple[dict[str, Array], dict[str, Array], State]:
    """Return views of the same slice of every array's first axis."""
    parts = {slot: {p: a[part] for p, a in arrays.items()} for slot, arrays in state.items()}
    views = [{path: array[part] for path, array in tree.items()} for tree in (weights, grads)]
    return views[0], views[1], parts
