"""The kit for losses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array
from cnnkit.base import Context, Layer, Loss
from cnnkit.errors import ShapeError
from cnnkit.testing import options
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.manners import manners
from cnnkit.testing.tools import (
    TOLERANCE,
    built_ins,
    numeric_derivative,
    require_close,
    require_finite,
    require_same,
)

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
        needed = any(field.is_required() for field in cls.model_fields.values())
        if issubclass(cls, Layer) and not needed:
            yield cls.model_validate({})


def fusions(loss: Loss) -> Iterator[tuple[Layer, Loss]]:
    """Yield the built-in heads that the loss fuses with, and what it becomes."""
    for head in heads():
        if fused := loss.fuse(head):
            yield head, fused


def _use(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    for one in (loss, *(fused for _, fused in fusions(loss))):
        judge(one, *case(outputs, seed, np.float32))


kit = Kit("loss", options.kit, manners(_use))


@kit.check("compute into new arrays")
def loss_inputs_unmodified(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Outputs and labels are left as they were: metrics still read them."""
    (y, labels), (y_before, labels_before) = case(outputs, seed), case(outputs, seed)
    judge(loss, y, labels)
    require_same(y_before, y, "the loss changes the outputs y")
    require_same(labels_before, labels, "the loss changes the labels")


@kit.check("one number per sample: reduce over axis 1 only, in y.dtype")
def loss_per_sample(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """forward gives one finite number per sample, in y's dtype, for any integer labels."""
    for dtype in (np.float32, np.float64):
        for label_dtype in (np.int64, np.uint8):
            y, labels = case(outputs, seed, dtype)
            for what, array in judge(loss, y, labels.astype(label_dtype)).items():
                shape, name = y.shape if what == "dy" else (N,), np.dtype(dtype).name
                is_right = array.shape == shape and array.dtype == dtype
                require(
                    is_right and bool(np.isfinite(array).all()),
                    f"{what} are not finite {name} of shape {shape}",
                    expected=f"{name} {shape}",
                    got=f"{array.dtype.name} {array.shape}",
                )


@kit.check("write labels.astype(y.dtype) before any arithmetic")
def loss_takes_any_labels(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Integer labels of any width give the same losses and dy: uint8 must not wrap around."""
    y, labels = case(outputs, seed)[0], np.arange(N) % max(2, outputs)
    wanted, got = judge(loss, y, labels), judge(loss, y, labels.astype(np.uint8))
    what = "{name} are others where labels are uint8"
    require_close(wanted, got, what, expected="those of int64 labels")


@kit.check("use y.reshape(...) and y.shape, never y.data or y.strides")
def loss_non_contiguous(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Outputs may have any strides."""
    y, labels = case(outputs, seed)
    wanted, got = judge(loss, y, labels), judge(loss, np.repeat(y, 2, axis=1)[:, ::2], labels)
    what = "{name} change where y is a view that is not contiguous"
    require_close(wanted, got, what, expected="equal")


@kit.check("sum or average over axis 1 only; the engine averages over the batch")
def loss_of_singles(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """A sample's loss and gradient do not depend on its batch."""
    y, labels = case(outputs, seed)
    singles = [judge(loss, y[i : i + 1], labels[i : i + 1]) for i in range(N)]
    stacked = {name: np.concatenate([one[name] for one in singles]) for name in singles[0]}
    what = "{name} of a batch are not those of its samples"
    require_close(stacked, judge(loss, y, labels), what, expected="equal")


@kit.check("keep what the gradient needs in local variables, not on self or in the module")
def loss_reentrant(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """Another batch may come between forward and its gradient."""
    y, labels = case(outputs, seed)
    wanted = judge(loss, y, labels)
    losses, gradient = loss.forward(y, labels)
    loss.forward(*case(outputs, seed + 1))
    got = {"losses": losses, "dy": gradient()}
    require_close(wanted, got, "{name} change when another forward comes between", expected="equal")


@kit.check("compute into a new array, or return a copy: lambda: y.copy()")
def loss_gradient_is_a_new_array(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The gradient, fused or not, is an array of its own: the engine scales it in place."""
    for name, one in _forms(loss):
        y, labels = case(outputs, seed)
        losses, gradient = one.forward(y, labels)
        dy = gradient()
        others = {"the outputs y": y, "the labels": labels, "the losses": losses}
        shared = ", ".join(n for n, array in others.items() if np.shares_memory(dy, array))
        fault = f"shares memory with {shared}" if shared else "cannot be written to"
        require(
            not shared and dy.flags.writeable,
            f"dy of {name} {fault}",
            expected="a new array, which the engine divides by the batch size in place",
            got="a view of it" if shared else "a read-only view",
        )


@kit.check("change nothing that forward computed: a new array in every call")
def loss_gradient_repeats(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The function gives the same gradient however often it is called."""
    for name, one in _forms(loss):
        gradient = one.forward(*case(outputs, seed))[1]
        first, again = {"dy": gradient().copy()}, {"dy": gradient()}
        what = f"{{name}} of {name} changes with a second call of the gradient function"
        require_close(first, again, what, expected="the same gradient")


def _forms(loss: Loss) -> Iterator[tuple[str, Loss]]:
    """Yield the loss and what it fuses into, each with a name."""
    yield "the loss", loss
    yield from ((f"the loss fused with {head.type}", fused) for head, fused in fusions(loss))


@kit.check("derive it again; do not average: the engine divides by the batch size")
def loss_gradient(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The returned function gives d(sum of losses)/dy, measured along a random direction."""
    y, labels = case(outputs, seed)
    _require_slope(loss, y, labels, seed)


def _require_slope(loss: Loss, y: Array, labels: Array, seed: int, when: str = "") -> None:
    direction = 0.01 * np.random.default_rng([seed, 9]).standard_normal(y.shape)

    def along(t: float) -> float:
        return float(loss.forward(y + t * direction, labels)[0].sum())

    parts = loss.forward(y, labels)[1]() * direction
    size, claimed = 1 + float(np.linalg.norm(parts)), float(parts.sum())
    measured = numeric_derivative(along, size)
    require(
        measured is not None and abs(claimed - measured) <= 10 * TOLERANCE * size,
        f"dy is not the derivative of the sum of losses{when}",
        expected=f"slope {measured} along a random direction",
        got=f"{claimed:.8g}",
    )


@kit.check("compare the whole shape first, and raise cnnkit.errors.ShapeError")
def unfit_heads_get_shape_error(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """check takes a head or raises ShapeError, whatever the shape of its output."""
    shapes, classes = ((outputs,), (outputs + 1,), (1,), (2, 3, 3)), max(2, outputs)
    for head, shape in product(heads(), shapes):
        try:
            loss.check(head, shape, classes)
        except ShapeError:
            continue
        except Exception as error:
            raise Fault(
                f"check({head.type}, {shape}, {classes}) raised {type(error).__name__}",
                expected="no error, or ShapeError saying what the loss can judge",
                got=str(error) or type(error).__name__,
            ) from error


@kit.check("derive the fused loss again from head and loss")
def fused_equals_unfused(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The fused loss gives what head and loss give one after the other, in float64."""
    logits, labels = _logits(outputs, seed, draw=8), case(outputs, seed)[1]
    for head, fused in fusions(loss):
        y, back = head.forward(logits, {}, Context())
        losses, gradient = loss.forward(y, labels)
        wanted = {"losses": losses, "dy": back(gradient())[0]}
        what = f"{{name}} of the loss fused with {head.type} differ from the unfused ones"
        require_close(wanted, judge(fused, logits, labels), what, expected="equal")


@kit.check("subtract the maximum before exp, and take log(sum(exp)) as one")
def fused_stays_finite(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """The fused loss is finite for any logits: that is what it is for."""
    logits = (1000 * _logits(outputs, seed, draw=7)).astype(np.float32)
    for head, fused in fusions(loss):
        arrays = judge(fused, logits, case(outputs, seed)[1])
        require_finite(arrays, f"fused with {head.type}, logits around 1000 give NaN or infinity")


@kit.check("treat targets (N, classes) as shares of the classes, or leave out `soft`")
def loss_takes_soft_targets(loss: Loss, outputs: int = 3, seed: int = 0) -> None:
    """A loss that declares `soft` takes targets: one-hot ones mean labels, and others count by
    their shares."""
    y, labels = case(outputs, seed)
    classes = max(2, outputs)
    hard = np.eye(classes)[labels]
    soft = 0.7 * hard + 0.3 * np.roll(hard, 1, axis=1)
    for name, one in _forms(loss) if loss.soft else ():
        wanted = judge(one, y, labels)
        what = f"{{name}} of {name} are others for one-hot targets than for labels"
        require_close(wanted, judge(one, y, hard), what, expected="those of the labels")
        mixed = judge(one, y, soft)
        require(
            not np.allclose(mixed["losses"], wanted["losses"]),
            f"{name} takes targets of 0.7 and 0.3 for labels",
            expected="losses by the share of each class",
            got="those of the labels",
        )
        _require_slope(one, y, soft, seed, " with soft targets")


def _logits(outputs: int, seed: int, draw: int) -> Array:
    return np.random.default_rng([seed, draw]).standard_normal((N, outputs))


def check_loss(loss: Loss, outputs: int = 3, *, seed: int = 0) -> None:
    """Run every check on a loss; raise CheckFailure for the first that fails.

    Outputs (N, outputs) are probabilities; 1 stands for two classes and that of class 1.
    """
    __tracebackhide__ = True
    kit.run(loss, outputs, seed)
