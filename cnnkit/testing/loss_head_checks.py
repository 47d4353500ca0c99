"""Checks of a loss beside the layer before it: which it refuses, and which it fuses with."""

from __future__ import annotations

import numpy as np

from cnnkit.base import Context, Loss
from cnnkit.errors import ShapeError
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import not_finite, require_close
from cnnkit.testing.failure import Fault, require
from cnnkit.testing.loss_samples import N, case, fusions, heads, judge


@check
def unfit_heads_get_shape_error(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """check takes a head or raises ShapeError, whatever the shape of its output."""
    for head in heads():
        for shape in ((outputs,), (outputs + 1,), (1,), (2, 3, 3)):
            try:
                loss.check(head, shape, max(2, outputs))
            except ShapeError:
                continue
            except Exception as error:
                raise Fault(
                    f"check({head.type}, {shape}, {max(2, outputs)}) raised {type(error).__name__}",
                    expected="no error, or ShapeError saying what the loss can judge",
                    got=str(error) or type(error).__name__,
                    fix="compare the whole shape first, and raise cnnkit.errors.ShapeError",
                ) from error


@check
def fused_equals_unfused(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The fused loss gives what head and loss give one after the other, in float64."""
    logits = np.random.default_rng([seed, 8]).standard_normal((N, outputs))
    labels = case(outputs, seed)[1]
    for head, fused in fusions(loss):
        y, back = head.forward(logits, {}, Context())
        losses, gradient = loss.forward(y, labels)
        wanted = {"losses": losses, "dy": back(gradient())[0]}
        what = f"{{name}} of the loss fused with {head.type} differ from the unfused ones"
        fix = "derive the fused loss again from head and loss"
        require_close(wanted, judge(fused, logits, labels), what, expected="equal", fix=fix)


@check
def fused_stays_finite(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The fused loss is finite for any logits: that is what it is for."""
    labels = case(outputs, seed)[1]
    rng = np.random.default_rng([seed, 7])
    logits = (1000 * rng.standard_normal((N, outputs))).astype(np.float32)
    for head, fused in fusions(loss):
        lost = list(not_finite(judge(fused, logits, labels)))
        require(
            not lost,
            f"fused with {head.type}, logits around 1000 give NaN or infinity",
            expected="finite numbers",
            got="; ".join(lost),
            fix="subtract the maximum before exp, and take log(sum(exp)) as one",
        )


LOSS_HEAD_CHECKS: tuple[Check, ...] = (
    unfit_heads_get_shape_error,
    fused_equals_unfused,
    fused_stays_finite,
)
