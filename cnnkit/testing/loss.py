"""The kit for losses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array
from cnnkit.base import Context, Layer, Loss
from cnnkit.errors import ShapeError
from cnnkit.testing import options
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.manners import add_manners
from cnnkit.testing.tools import (
    TOLERANCE,
    built_ins,
    not_finite,
    numeric_derivative,
    require_close,
    require_same,
)

kit = Kit("loss", options.kit)

N = 4
"""Samples per batch."""


def _use(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    judge(loss, *case(outputs, seed, np.float32))
    for _, fused in fusions(loss):
        judge(fused, *case(outputs, seed, np.float32))


add_manners(kit, _use)


@kit.check
def loss_inputs_unmodified(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Outputs and labels are left as they were: metrics still read them."""
    (y, labels), (y_before, labels_before) = case(outputs, seed), case(outputs, seed)
    judge(loss, y, labels)
    fix = "compute into new arrays"
    require_same(y_before, y, "the loss changes the outputs y", fix=fix)
    require_same(labels_before, labels, "the loss changes the labels", fix=fix)


@kit.check
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


@kit.check
def loss_takes_any_labels(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Integer labels of any width give the same losses and dy: uint8 must not wrap around."""
    y, labels = case(outputs, seed)[0], np.arange(N) % max(2, outputs)
    wanted, got = judge(loss, y, labels), judge(loss, y, labels.astype(np.uint8))
    what = "{name} are others where labels are uint8"
    fix = "write labels.astype(y.dtype) before any arithmetic"
    require_close(wanted, got, what, expected="those of int64 labels", fix=fix)


@kit.check
def loss_non_contiguous(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Outputs may have any strides."""
    y, labels = case(outputs, seed)
    view = np.repeat(y, 2, axis=1)[:, ::2]
    what = "{name} change where y is a view that is not contiguous"
    fix = "use y.reshape(...) and y.shape, never y.data or y.strides"
    wanted = judge(loss, y, labels)
    require_close(wanted, judge(loss, view, labels), what, expected="equal", fix=fix)


@kit.check
def loss_of_singles(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """A sample's loss and gradient do not depend on its batch."""
    y, labels = case(outputs, seed)
    singles = [judge(loss, y[i : i + 1], labels[i : i + 1]) for i in range(N)]
    stacked = {name: np.concatenate([one[name] for one in singles]) for name in singles[0]}
    what = "{name} of a batch are not those of its samples"
    fix = "sum or average over axis 1 only; the engine averages over the batch"
    require_close(stacked, judge(loss, y, labels), what, expected="equal", fix=fix)


@kit.check
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


def check_loss(loss: Loss, outputs: int = 3, *, seed: int = 0) -> None:
    """Run every check on a loss, for outputs (N, outputs) that are probabilities.

    `outputs = 1` stands for two classes and the probability of class 1.

    Raises:
        CheckFailure: for the first check that fails; it says what to mend.
    """
    __tracebackhide__ = True
    kit.run(loss, outputs, seed)


@kit.check
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


@kit.check
def loss_gradient_repeats(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The function gives the same gradient however often it is called."""
    for name, one, y, labels in _forms(loss, outputs, seed):
        gradient = one.forward(y, labels)[1]
        first, again = gradient().copy(), gradient()
        what = f"{{name}} of {name} changes with a second call of the gradient function"
        fix = "change nothing that forward computed: a new array in every call"
        require_close({"dy": first}, {"dy": again}, what, expected="the same gradient", fix=fix)


@kit.check
def loss_gradient(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The returned function gives d(sum of losses)/dy, measured along a random direction."""
    y, labels = case(outputs, seed)
    direction = 0.01 * np.random.default_rng([seed, 9]).standard_normal(y.shape)
    parts = loss.forward(y, labels)[1]() * direction
    size = 1 + float(np.linalg.norm(parts))
    measured = numeric_derivative(
        lambda t: float(loss.forward(y + t * direction, labels)[0].sum()), size
    )
    require(
        measured is not None and abs(float(parts.sum()) - measured) <= 10 * TOLERANCE * size,
        "dy is not the derivative of the sum of losses",
        expected=f"slope {measured} along a random direction",
        got=f"{float(parts.sum()):.8g}",
        fix="derive it again; do not average: the engine divides by the batch size",
    )


def _forms(loss: Loss, outputs: int, seed: int) -> Iterator[tuple[str, Loss, Array, Array]]:
    """Yield the loss and what it fuses into, each with a name, outputs and labels."""
    for head, one in [(None, loss), *fusions(loss)]:
        name = f"the loss fused with {head.type}" if head else "the loss"
        yield name, one, *case(outputs, seed)


@kit.check
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


@kit.check
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


@kit.check
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
