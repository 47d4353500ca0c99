"""A trial step on a few images: which weights learn, and whether the layers keep their word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnkit.arrays import Array, Weights, flatten
from cnnkit.base import Backward, Context, Layer, LayerFault
from cnnkit.base.context import generator
from cnnkit.base.fault import NO_FAULT
from cnnkit.engine.faults import blaming_plugins, describe, is_foreign
from cnnkit.engine.plan import Plan, children
from cnnkit.errors import TrainingError
from cnnkit.model import Model
from cnnkit.registry import Registry

_KEY = (0, 0, 0, 0)
_IMAGES = 3


def learning_paths(plan: Plan, model: Model, registry: Registry) -> set[str]:
    """Return the paths of the weights that receive a gradient.

    Raises:
        TrainingError: where no weight learns, or a layer does not do what it declared, found
            before training starts: it names layer, type and distribution, what was expected and
            what came.
    """
    steps = [step for segment in plan.segments for step in segment.steps]
    x = generator(_KEY, "probe").standard_normal((_IMAGES, *model.input_shape)).astype(model.dtype)
    with blaming_plugins(registry, lambda: "the trial step"):
        learning = set(flatten(_audit(steps, x, model.weights, registry)))
    if not learning:
        raise TrainingError("no layer of this network has weights that learn; add one, such as "
                            "dense")  # fmt: skip
    return learning


def _audit(
    steps: Sequence[tuple[str, Layer]], x: Array, weights: Weights, registry: Registry
) -> Weights:
    """Take `x` forward and backward, layer by layer, and hold each to its word.

    Returns:
        The gradients, by layer.
    """
    tape: list[tuple[_Audit, Backward]] = []
    for name, layer in steps:
        one = _Audit(name, layer, weights.get(name, {}), registry)
        x, back = one.forward(x)
        tape.append((one, back))
    dy = generator(_KEY, "slope").standard_normal(x.shape).astype(x.dtype)
    grads: Weights = {}
    for one, back in reversed(tape):
        dy, grad = one.backward(dy, back, first=one is tape[0][0])
        if grad:
            grads[one.name] = grad
    return grads


class _Audit:
    """One layer on trial."""

    def __init__(self, name: str, layer: Layer, weights: Weights, registry: Registry) -> None:
        self.name, self._layer, self._weights, self._registry = name, layer, weights, registry
        self._x = np.empty(0)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        self._x, given = x, x.copy()
        y, back = self._forward(x)
        self._expect_array("an output", y, (len(x), *self._layer.output_shape(x.shape[1:])))
        self._require(np.array_equal(x, given), "changed its input", "an input left as it was")
        if self._foreign:
            self._require(
                np.array_equal(y, self._forward(x)[0], equal_nan=True),
                "gives two results for one input and one random key",
                "every random number from ctx.rng(), and no state on the layer",
            )
        return y, back

    def _forward(self, x: Array) -> tuple[Array, Backward]:
        ctx = Context(training=True).child(self.name)
        try:
            result = self._layer.forward(x, self._weights, ctx)
        except NO_FAULT:
            raise
        except Exception as error:
            raise LayerFault(self.name, self._layer, "forward", error) from error
        self._expect_pair("forward", result, "(y, backward)")
        return result

    def backward(self, dy: Array, back: Backward, first: bool) -> tuple[Array, Weights]:
        given = dy.copy()
        try:
            result = back(dy)
        except NO_FAULT:
            raise
        except Exception as error:
            raise LayerFault(self.name, self._layer, "backward", error) from error
        self._expect_pair("backward", result, "(dx, gradients)")
        dx, grads = result
        if not first:  # nobody reads the first layer's dx
            self._expect_array("a gradient of its input", dx, self._x.shape)
        if self._foreign:
            self._require(np.array_equal(dy, given), "changed dy", "dy left as it was")
        weights = flatten(self._weights)
        for path, grad in flatten(grads).items():
            self._require(
                path in weights,
                f"returned a gradient for {path}",
                f"one of its weights: {', '.join(weights) or 'it has none'}",
            )
            self._expect_array(f"a gradient for {path}", grad, weights[path].shape)
        return dx, grads

    @property
    def _foreign(self) -> bool:
        return _holds_foreign(self._layer, self._registry)

    def _expect_pair(self, phase: str, result: object, pair: str) -> None:
        kept = isinstance(result, tuple) and len(result) == 2
        self._require(kept, f"returned no pair from {phase}", pair)

    def _expect_array(self, what: str, array: Array, shape: tuple[int, ...]) -> None:
        dtype = self._x.dtype
        if not isinstance(array, np.ndarray):
            self._require(False, f"returned {what} of type {type(array).__name__}", "an array")
        self._require(array.shape == shape, f"returned {what} of shape {array.shape}", str(shape))
        self._require(array.dtype == dtype, f"returned {what} of dtype {array.dtype}", str(dtype))

    def _require(self, kept: bool, fault: str, expected: str) -> None:
        if not kept:
            place = describe(self.name, self._layer, self._registry)
            raise TrainingError(
                f"{place} {fault}; expected {expected}. "
                "This is a fault of the layer, not of the spec"
            )


def _holds_foreign(layer: Layer, registry: Registry) -> bool:
    inner = any(_holds_foreign(child, registry) for child in children(layer))
    return inner or is_foreign(layer, registry)
