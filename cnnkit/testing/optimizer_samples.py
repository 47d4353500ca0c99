"""What the checks of optimizers move: weights, gradients and slices of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array
from cnnkit.base import Optimizer
from cnnkit.base.optimizer import State

_SHAPES = {"0_conv/W": (4, 3), "0_conv/b": (3,), "1_norm/mean": (5,)}
BUFFER = "1_norm/mean"
"""The array that gets no gradient."""
LR = 0.01
"""The learning rate of every step."""


def weights(seed: int, dtype: npt.DTypeLike = np.float64) -> dict[str, Array]:
    """Draw `{path: array}`."""
    rng = np.random.default_rng([seed, 1])
    return {path: rng.standard_normal(shape).astype(dtype) for path, shape in _SHAPES.items()}


def grads(seed: int, dtype: npt.DTypeLike = np.float64) -> dict[str, Array]:
    """Draw gradients for all but the buffer."""
    rng = np.random.default_rng([seed, 2])
    drawn = {path: rng.standard_normal(shape).astype(dtype) for path, shape in _SHAPES.items()}
    return {path: grad for path, grad in drawn.items() if path != BUFFER}


def run(
    optimizer: Optimizer, weights: dict[str, Array], state: State, steps: range, seed: int
) -> None:
    """Do these steps, each with the gradients of its number."""
    for step in steps:
        optimizer.update(weights, grads(seed + step), state, LR, step)


def is_like(array: Array, weight: Array | None) -> bool:
    """Return whether `array` has the shape and dtype of `weight`."""
    return weight is not None and array.shape == weight.shape and array.dtype == weight.dtype


def cut(
    part: slice, weights: dict[str, Array], grads: dict[str, Array], state: State
) -> tuple[dict[str, Array], dict[str, Array], State]:
    """Return views of the same slice of every array's first axis."""
    parts = {slot: {p: a[part] for p, a in arrays.items()} for slot, arrays in state.items()}
    views = [{path: array[part] for path, array in tree.items()} for tree in (weights, grads)]
    return views[0], views[1], parts
