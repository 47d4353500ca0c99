"""The guard: a trial step, the first value that is not finite, and whose fault it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cnnkit.arrays import FRESH, Array, Weights, demand_finite, flatten
from cnnkit.base import Backward, Context, Layer, Loss, forward_chain
from cnnkit.base.component import Component, walk
from cnnkit.base.context import generator
from cnnkit.base.contract import (
    checked_backward,
    checked_forward,
    checked_learning,
    left_alone,
    repeats,
)
from cnnkit.base.layer import Tap
from cnnkit.base.optimizer import State
from cnnkit.base.place import spoken
from cnnkit.base.transform import hard_to_mix
from cnnkit.base.weight import declared
from cnnkit.engine.nonfinite import NonFiniteError
from cnnkit.engine.step import Batch
from cnnkit.errors import TrainingError
from cnnkit.meeting import Meeting
from cnnkit.model import Model
from cnnkit.plan import Plan, tail
from cnnkit.provenance import attribute, describe, is_foreign
from cnnkit.registry import Registry

ADVICE = "lower the learning rate, or add a warm-up to its schedule"


def check_loss(loss: Loss, model: Model) -> None:
    """Refuse a loss that cannot judge what the network gives, or the targets that transforms mix.

    Raises:
        ShapeError, TrainingError: saying which.
    """
    loss.check(tail(model.network), model.output_shape, len(model.classes))
    if refusal := hard_to_mix(loss, model.transforms):
        raise TrainingError(refusal)


def diverged(model: Model, state: State | None = None, advice: str = ADVICE) -> str:
    """Return a message that names the first weight, or what the optimizer keeps of it, with a value
    that is not finite, or ""."""
    for what, arrays in {"weight": flatten(model.weights), **(state or {})}.items():
        for path, array in arrays.items():
            if not np.isfinite(array).all():
                owner = spoken(path.partition("/")[0])
                what = what if what == "weight" else f"the optimizer's {what} of"
                return f"{what} {path} of {owner} has diverged; {advice}"
    return ""


@np.errstate(all="ignore")  # values that are not finite are what it looks for
def first_nonfinite(
    plan: Plan, model: Model, batch: Batch, when: str, registry: Registry, advice: str = ADVICE
) -> NonFiniteError:
    """Return an error that names the first layer, on the way forward or back, whose result is not
    finite though what it was given is; and the images with which that happened."""
    if culprit := diverged(model, advice=advice):
        return NonFiniteError(f"the loss is not finite {when}: {culprit}")
    meeting = None
    if plan.gathers:  # then a shard by itself would see other numbers
        batch, meeting = replace(batch, shard=len(batch.rows)), Meeting(1)
    for shard in range(len(batch)):
        look = _Look()
        x, chain = batch.input(shard, FRESH), list[Backward]()
        if len(bad := _rows_not_finite(x)):
            return _entered(batch, batch.rows_of(shard)[bad], when, registry)
        for segment in plan.segments:
            ctx = batch.context(shard, FRESH, bool(chain), look, meeting=meeting)
            x, back = forward_chain(segment.steps, x, model.weights, ctx)
            chain.append(back)
        if not look.found:
            dy = batch.loss_gradient(shard, x, plan.loss)
            for back in reversed(chain):
                dy, _ = back(dy)
        if look.found:
            return look.error(batch, shard, when, registry)
    foreign = _foreign([plan.loss], registry)
    remedy = f"check {foreign}, or {advice}" if foreign else advice
    return NonFiniteError(
        f"the loss is not finite {when}, though every layer's output is; {remedy}"
    )


def _entered(batch: Batch, rows: Array, when: str, registry: Registry) -> NonFiniteError:
    """Return the error of images that are not finite before any layer has seen them."""
    what = "are not finite as they enter" if len(rows) > 1 else "is not finite as it enters"
    suspects = _foreign(batch.transforms, registry) or "the data and the transforms"
    numbers = _numbers(rows, batch)
    return NonFiniteError(
        f"the loss is not finite {when}: {numbers} {what} the first layer; check {suspects}"
    )


def _foreign(components: Sequence[Component], registry: Registry) -> str:
    """Name those that are not cnnkit's own."""
    foreign = [describe("", one, registry) for one in components if is_foreign(one, registry)]
    return " and ".join(foreign)


class _Look:
    """A tap that notes the first result that is not finite where what came in was."""

    def __init__(self) -> None:
        self.found = ""
        self._layer: Layer | None = None
        self._what, self._rows, self._range = "", np.empty(0, int), ""

    def __call__(self, layer: Layer, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = layer.forward(x, w, ctx)
        self._note(layer, ctx.path, "", x, [y])

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, grads = back(dy)
            results = [dx] * ctx.wants_dx + list(flatten(grads).values())
            self._note(layer, ctx.path, "in its backward pass ", dy, results)
            return dx, grads

        return y, backward

    def _note(self, layer: Layer, path: str, turn: str, given: Array, results: list[Array]) -> None:
        if self.found or not np.isfinite(given).all():
            return
        for result in results:
            if not np.isfinite(result).all():
                self.found, self._layer, self._what = path, layer, turn
                alike = len(result) == len(given) and result.ndim > 1
                self._rows = _rows_not_finite(result) if alike else np.arange(len(given))
                self._range = f"{given.min():.3g} to {given.max():.3g}"
                return

    def error(self, batch: Batch, shard: int, when: str, registry: Registry) -> NonFiniteError:
        """Return what was found as an error."""
        numbers = _numbers(batch.rows_of(shard)[self._rows], batch)
        what = "the gradient" if self._what else "the loss"
        name, advice = spoken(self.found), ADVICE
        if self._layer is not None and is_foreign(self._layer, registry):
            name = describe(self.found, self._layer, registry)
            advice = f"if it should take these, this is a fault of the layer; else {ADVICE}"
        text = (
            f"{what} is not finite {when}: {name} is the first to give values that are not finite "
            f"{self._what}({numbers}, from values of {self._range}); {advice}"
        )
        error = NonFiniteError(text)
        error.layer_path = self.found
        return error


def _rows_not_finite(x: Array) -> Array:
    return np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))


def _numbers(rows: Array, batch: Batch) -> str:
    """Return "image 17 of the training split" or "images 3, 4, 9 and 13 more of ..."."""
    shown = ", ".join(map(str, rows[:3]))
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    where = "the training split" if batch.training else "these"
    return f"image{'s' * (len(rows) > 1)} {shown}{more} of {where}"


_KEY = (0, 0, 0, 0)
_IMAGES = 3


@np.errstate(all="ignore")  # the weights may be spoilt already
def trial_step(plan: Plan, model: Model, registry: Registry) -> frozenset[str]:
    """Take a few random images through the network; return the paths of the weights that learn.

    Raises:
        TrainingError: where no weight learns, or a layer does not do what it declared, found
            before training starts: it names layer, type and distribution, what was expected and
            what came.
    """
    if not model.learning:
        raise TrainingError("no layer of this network has weights that learn; add one, such as "
                            "dense, or leave trainable = false out of one")  # fmt: skip
    steps = [step for segment in plan.segments for step in segment.steps]
    x = generator(_KEY, "probe").standard_normal((_IMAGES, *model.input_shape)).astype(model.dtype)
    ctx = Context(training=True, wants_dx=False, tap=Watch(registry, thorough=True))
    with attribute(registry, lambda: "at the trial step"):
        y, back = forward_chain(steps, x, model.weights, ctx)
        back(generator(_KEY, "slope").standard_normal(y.shape).astype(y.dtype))
    return model.learning


def watch_foreign(network: Layer, registry: Registry) -> Tap | None:
    """Return a tap for training, or None where cnnkit wrote every layer: it trusts its own."""
    foreign = any(is_foreign(inner, registry) for _, inner in walk(network))
    return Watch(registry) if foreign else None


class Watch:
    """A tap that holds third-party layers to their word at every step: shapes, dtypes, types, and
    values that are finite.

    Args:
        thorough: look at every layer, and try whether it leaves its input alone and repeats
            itself; for the trial step.
    """

    def __init__(self, registry: Registry, thorough: bool = False) -> None:
        self._registry, self._thorough = registry, thorough

    def __call__(self, layer: Layer, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        foreign = is_foreign(layer, self._registry)
        if not (foreign or self._thorough):
            return layer.forward(x, w, ctx)
        given = x.copy() if self._thorough else x
        shape = layer.output_shape(x.shape[1:])
        y, back = checked_forward(layer, x, layer.forward(x, w, ctx), shape)
        if not self._thorough:
            demand_finite(y)
        else:
            left_alone(layer, "forward", "x", x, given)
            if foreign:
                repeats(layer, y, layer.forward(x, w, ctx)[0])

        def backward(dy: Array) -> tuple[Array, Weights]:
            given = dy.copy() if self._thorough and foreign else dy
            dx, grads = checked_backward(layer, x, w, back(dy), ctx.wants_dx)
            if ctx.wants_dx and not self._thorough:
                demand_finite(dx)
            left_alone(layer, "backward", "dy", dy, given)
            if self._thorough and layer.trainable:  # else its gradients are let go
                checked_learning(layer, flatten(grads), declared(layer.weights(x.shape[1:])))
            return dx, grads

        return y, backward
