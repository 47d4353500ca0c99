"""What the checks of losses judge: probabilities, labels, and heads to fuse with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array
from cnnkit.base import Layer, Loss
from cnnkit.testing.components import built_ins

N = 4
"""Samples per batch."""


def case(outputs: int, seed: int, dtype: npt.DTypeLike = np.float64) -> tuple[Array, Array]:
    """Draw probabilities (N, outputs) and labels (N,)."""
    rng = np.random.default_rng([seed, outputs])
    y = rng.uniform(0.1, 0.9, (N, outputs))
    if outputs > 1:
        y /= y.sum(axis=1, keepdims=True)
    return y.astype(dtype), rng.integers(0, max(2, outputs), N)


def judge(loss: Loss, y: Array, labels: Array) -> dict[str, Array]:
    """Return losses and gradient by name."""
    losses, gradient = loss.forward(y, labels)
    return {"losses": losses, "dy": gradient()}


def heads() -> Iterator[Layer]:
    """Yield every built-in layer that needs no option."""
    for cls in built_ins("layers").values():
        if all(not field.is_required() for field in cls.model_fields.values()):
            head = cls.model_validate({})
            if isinstance(head, Layer):
                yield head


def fusions(loss: Loss) -> Iterator[tuple[Layer, Loss]]:
    """Yield the built-in heads that the loss fuses with, and what it becomes."""
    for head in heads():
        fused = loss.fuse(head)
        if fused is not None:
            yield head, fused
