"""The kit for losses."""

from __future__ import annotations

import numpy as np

from cnnkit.base import Loss
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close, require_same
from cnnkit.testing.failure import require
from cnnkit.testing.loss_gradient_checks import LOSS_GRADIENT_CHECKS
from cnnkit.testing.loss_head_checks import LOSS_HEAD_CHECKS
from cnnkit.testing.loss_samples import N, case, fusions, judge
from cnnkit.testing.manners import manner_checks
from cnnkit.testing.option_checks import OPTION_CHECKS


@check
def loss_per_sample(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """forward gives one finite number per sample, in y's dtype, for any integer labels."""
    for dtype in (np.float32, np.float64):
        for label_dtype in (np.int64, np.uint8):
            y, labels = case(outputs, seed, dtype)
            losses, gradient = loss.forward(y, labels.astype(label_dtype))
            for what, array, shape in (("losses", losses, (N,)), ("dy", gradient(), y.shape)):
                require(
                    array.shape == shape
                    and array.dtype == dtype
                    and bool(np.isfinite(array).all()),
                    f"{what} are not finite {np.dtype(dtype).name} of shape {shape}",
                    expected=f"{np.dtype(dtype).name} {shape}",
                    got=f"{array.dtype.name} {array.shape}",
                    fix="one number per sample: reduce over axis 1 only, in y.dtype",
                )


@check
def loss_takes_any_labels(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Integer labels of any width give the same losses and dy: uint8 must not wrap around."""
    y, labels = case(outputs, seed)[0], np.arange(N) % max(2, outputs)
    wanted, got = judge(loss, y, labels), judge(loss, y, labels.astype(np.uint8))
    what = "{name} are others where labels are uint8"
    fix = "write labels.astype(y.dtype) before any arithmetic"
    require_close(wanted, got, what, expected="those of int64 labels", fix=fix)


@check
def loss_of_singles(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """A sample's loss and gradient do not depend on its batch."""
    y, labels = case(outputs, seed)
    singles = [judge(loss, y[i : i + 1], labels[i : i + 1]) for i in range(N)]
    stacked = {name: np.concatenate([one[name] for one in singles]) for name in singles[0]}
    what = "{name} of a batch are not those of its samples"
    fix = "sum or average over axis 1 only; the engine averages over the batch"
    require_close(stacked, judge(loss, y, labels), what, expected="equal", fix=fix)


@check
def loss_inputs_unmodified(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Outputs and labels are left as they were: metrics still read them."""
    (y, labels), (y_before, labels_before) = case(outputs, seed), case(outputs, seed)
    judge(loss, y, labels)
    fix = "compute into new arrays"
    require_same(y_before, y, "the loss changes the outputs y", fix=fix)
    require_same(labels_before, labels, "the loss changes the labels", fix=fix)


@check
def loss_non_contiguous(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Outputs may have any strides."""
    y, labels = case(outputs, seed)
    view = np.repeat(y, 2, axis=1)[:, ::2]
    what = "{name} change where y is a view that is not contiguous"
    fix = "use y.reshape(...) and y.shape, never y.data or y.strides"
    wanted = judge(loss, y, labels)
    require_close(wanted, judge(loss, view, labels), what, expected="equal", fix=fix)


@check
def loss_reentrant(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Another batch may come between forward and its gradient."""
    y, labels = case(outputs, seed)
    wanted = judge(loss, y, labels)
    losses, gradient = loss.forward(y, labels)
    loss.forward(*case(outputs, seed + 1))
    what = "{name} change when another forward comes between"
    fix = "keep what the gradient needs in local variables, not on self or in the module"
    got = {"losses": losses, "dy": gradient()}
    require_close(wanted, got, what, expected="equal", fix=fix)


def _use(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    judge(loss, *case(outputs, seed, np.float32))
    for _, fused in fusions(loss):
        judge(fused, *case(outputs, seed, np.float32))


LOSS_CHECKS: tuple[Check, ...] = (
    *OPTION_CHECKS,
    *manner_checks(_use),
    loss_inputs_unmodified,
    loss_per_sample,
    loss_takes_any_labels,
    loss_non_contiguous,
    loss_of_singles,
    loss_reentrant,
    *LOSS_GRADIENT_CHECKS,
    *LOSS_HEAD_CHECKS,
)


def check_loss(loss: Loss, outputs: int = 3, *, seed: int = 0) -> None:
    """Run every check on a loss, for outputs (N, outputs) that are probabilities.

    `outputs = 1` stands for two classes and the probability of class 1.

    Raises:
        CheckFailure: for the first check that fails; it says what to mend.
    """
    __tracebackhide__ = True
    for one in LOSS_CHECKS:
        one(loss, outputs, seed)
