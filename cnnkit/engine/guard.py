"""The guard: a trial step, the first value that is not finite, and whose fault it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnkit.arrays import FRESH, Array, Weights, flatten
from cnnkit.base import Backward, Context, Layer, Weight, forward_chain
from cnnkit.base.layer import generator
from cnnkit.base.place import spoken
from cnnkit.base.weight import declared
from cnnkit.engine.plan import Plan
from cnnkit.engine.step import Batch
from cnnkit.errors import TrainingError
from cnnkit.model import Model
from cnnkit.provenance import attribute, describe, is_foreign
from cnnkit.registry import Registry

ADVICE = "lower the learning rate, or add a warm-up to its schedule"


def diverged(model: Model) -> str:
    """Return a message that names the first weight with a value that is not finite, or ""."""
    for path, weight in flatten(model.weights).items():
        if not np.isfinite(weight).all():
            owner = spoken(path.partition("/")[0])
            return f"weight {path} of {owner} has diverged; {ADVICE}"
    return ""


@np.errstate(all="ignore")  # values that are not finite are what it looks for
def first_nonfinite(plan: Plan, model: Model, batch: Batch, step: int) -> str:
    """Return a message that names the step and the first layer with a value that is not finite."""
    what = f"the loss is not finite at epoch {batch.key[1] + 1}, step {step + 1}"
    if culprit := diverged(model):
        return f"{what}: {culprit}"
    found: list[str] = []

    def look(layer: Layer, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = layer.forward(x, w, ctx)
        if not (found or np.isfinite(y).all()):
            found.append(ctx.path)
        return y, back

    for shard in range(len(batch)):
        x = batch.input(shard, FRESH)
        if not np.isfinite(x).all():
            return f"{what}: the images are not finite; check the data"
        for segment in plan.segments:
            ctx = batch.context(shard, FRESH, tap=look)
            x, _ = forward_chain(segment.steps, x, model.weights, ctx)
        if found:
            return (
                f"{what}: {spoken(found[0])} is the first to give values that are not finite; "
                f"{ADVICE}"
            )
    return f"{what}, though every layer's output is; {ADVICE}"


_KEY = (0, 0, 0, 0)
_IMAGES = 3


def trial_step(plan: Plan, model: Model, registry: Registry) -> frozenset[str]:
    """Take a few random images through the network; return the paths of the weights that learn.

    Raises:
        TrainingError: where no weight learns, or a layer does not do what it declared, found
            before training starts: it names layer, type and distribution, what was expected and
            what came.
    """
    if not model.learning:
        raise TrainingError("no layer of this network has weights that learn; add one, such as "
                            "dense")  # fmt: skip
    steps = [step for segment in plan.segments for step in segment.steps]
    x = generator(_KEY, "probe").standard_normal((_IMAGES, *model.input_shape)).astype(model.dtype)
    ctx = Context(training=True, wants_dx=False, tap=_Trial(registry))
    with attribute(registry, lambda: "the trial step"):
        y, back = forward_chain(steps, x, model.weights, ctx)
        back(generator(_KEY, "slope").standard_normal(y.shape).astype(y.dtype))
    return model.learning


class _Trial:
    """A tap that holds every layer to its word."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(self, layer: Layer, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        given, foreign = x.copy(), is_foreign(layer, self._registry)
        word = _Word(layer, ctx.path, x.dtype, self._registry)
        result = layer.forward(x, w, ctx)
        word.require_pair("forward", result, "(y, backward)")
        y, back = result
        word.require_array("an output", y, (len(x), *layer.output_shape(x.shape[1:])))
        word.require(np.array_equal(x, given), "changed its input", "an input left as it was")
        if foreign:
            word.require(
                np.array_equal(y, layer.forward(x, w, ctx)[0], equal_nan=True),
                "gives two results for one input and one random key",
                "every random number from ctx.rng(), and no state on the layer",
            )

        def backward(dy: Array) -> tuple[Array, Weights]:
            given_dy = dy.copy()
            answer = back(dy)
            word.require_pair("backward", answer, "(dx, gradients)")
            if ctx.wants_dx:
                word.require_array("a gradient of its input", answer[0], x.shape)
            if foreign:
                word.require(np.array_equal(dy, given_dy), "changed dy", "dy left as it was")
            word.require_gradients(flatten(answer[1]), declared(layer.weights(x.shape[1:])))
            return answer

        return y, backward


@dataclass(frozen=True, slots=True)
class _Word:
    """What one layer promised, and the error where it does not keep it."""

    layer: Layer
    path: str
    dtype: np.dtype[Any]
    registry: Registry

    def require_pair(self, phase: str, result: object, pair: str) -> None:
        kept = isinstance(result, tuple) and len(result) == 2
        self.require(kept, f"returned no pair from {phase}", pair)

    def require_gradients(self, grads: dict[str, Array], weights: dict[str, Weight]) -> None:
        for path, grad in grads.items():
            self.require(
                path in weights,
                f"returned a gradient for {path}",
                f"one of its weights: {', '.join(weights) or 'it has none'}",
            )
            self.require(
                weights[path].learns,
                f"returned a gradient for {path}, which is declared not to learn",
                "none for it, or learns=True",
            )
            self.require_array(f"a gradient for {path}", grad, weights[path].shape)
        missing = [path for path, w in weights.items() if w.learns and path not in grads]
        self.require(
            not missing,
            f"returned no gradient for {', '.join(missing)}",
            "one for every weight that learns, or learns=False where it is declared",
        )

    def require_array(self, what: str, array: Array, shape: tuple[int, ...]) -> None:
        if not isinstance(array, np.ndarray):
            self.require(False, f"returned {what} of type {type(array).__name__}", "an array")
        for name, got, want in (("shape", array.shape, shape), ("dtype", array.dtype, self.dtype)):
            self.require(got == want, f"returned {what} of {name} {got}", str(want))

    def require(self, kept: bool, fault: str, expected: str) -> None:
        if not kept:
            raise TrainingError(
                f"{describe(self.path, self.layer, self.registry)} {fault}; expected {expected}. "
                "This is a fault of the layer, not of the spec"
            )
