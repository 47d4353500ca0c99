"""Checks of the function that a loss returns: its values, and whose memory they lie in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Loss
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close
from cnnkit.testing.failure import require
from cnnkit.testing.loss_samples import case, fusions
from cnnkit.testing.slope import TOLERANCE, slope


@check
def loss_gradient_is_a_new_array(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The gradient, fused or not, is an array of its own: the engine scales it in place."""
    for name, one, y, labels in _forms(loss, outputs, seed):
        losses, gradient = one.forward(y, labels)
        dy = gradient()
        others = {"the outputs y": y, "the labels": labels, "the losses": losses}
        shared = [other for other, array in others.items() if np.shares_memory(dy, array)]
        require(
            not shared and dy.flags.writeable,
            f"dy of {name} shares memory with {', '.join(shared)}"
            if shared
            else f"dy of {name} cannot be written to",
            expected="a new array, which the engine divides by the batch size in place",
            got="a view of it" if shared else "a read-only view",
            fix="compute into a new array, or return a copy: lambda: y.copy()",
        )


@check
def loss_gradient_repeats(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The function gives the same gradient however often it is called."""
    for name, one, y, labels in _forms(loss, outputs, seed):
        gradient = one.forward(y, labels)[1]
        first, again = gradient().copy(), gradient()
        what = f"{{name}} of {name} changes with a second call of the gradient function"
        fix = "change nothing that forward computed: a new array in every call"
        require_close({"dy": first}, {"dy": again}, what, expected="the same gradient", fix=fix)


@check
def loss_gradient(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The returned function gives d(sum of losses)/dy, measured along a random direction."""
    y, labels = case(outputs, seed)
    direction = 0.01 * np.random.default_rng([seed, 9]).standard_normal(y.shape)
    parts = loss.forward(y, labels)[1]() * direction
    size = 1 + float(np.linalg.norm(parts))
    measured = slope(lambda t: float(loss.forward(y + t * direction, labels)[0].sum()), size)
    require(
        measured is not None and abs(float(parts.sum()) - measured) <= 10 * TOLERANCE * size,
        "dy is not the derivative of the sum of losses",
        expected=f"slope {measured} along a random direction",
        got=f"{float(parts.sum()):.8g}",
        fix="derive it again; do not average: the engine divides by the batch size",
    )


LOSS_GRADIENT_CHECKS: tuple[Check, ...] = (
    loss_gradient_is_a_new_array,
    loss_gradient_repeats,
    loss_gradient,
)


def _forms(loss: Loss, outputs: int, seed: int) -> Iterator[tuple[str, Loss, Array, Array]]:
    """Yield the loss and what it fuses into, each with a name, outputs and labels."""
    for head, one in [(None, loss), *fusions(loss)]:
        name = f"the loss fused with {head.type}" if head else "the loss"
        yield name, one, *case(outputs, seed)
