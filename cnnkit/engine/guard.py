"""The guard: a trial step, the first value that is not finite, and whose fault it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from cnnkit.arrays import FRESH, Array, Weights, flatten
from cnnkit.base import Backward, Context, Layer, LayerFault
from cnnkit.base.layer import NO_FAULT, generator
from cnnkit.base.place import place_of, spoken
from cnnkit.engine.plan import Plan, children
from cnnkit.engine.step import Batch
from cnnkit.errors import CnnkitError, TrainingError
from cnnkit.model import Model
from cnnkit.registry import Plugin, Registry


@contextmanager
def attribute(registry: Registry, now: Callable[[], str]) -> Iterator[None]:
    """Turn what a plugin raises inside the block into an error that names it; it costs nothing
    until then. What cnnkit raises, on purpose or not, passes as it is.

    Args:
        now: returns when it happened, such as "step 50".

    Raises:
        TrainingError: with layer, type, distribution and version.
    """
    try:
        yield
    except (CnnkitError, MemoryError):
        raise
    except Exception as error:
        named = _named(error, registry, now())
        if named is None:
            raise
        raise named from error


def _named(error: Exception, registry: Registry, when: str) -> TrainingError | None:
    """Return an error that names the plugin behind `error`, with the line of its code as a note,
    or None: then it is cnnkit's bug.

    Args:
        error: whatever came out of a step.
        when: such as "step 50".
    """
    if isinstance(error, LayerFault) and is_foreign(error.layer, registry):
        place, cause = describe(error.path, error.layer, registry), error.cause
        place, module = f"the {error.phase} pass of {place}", type(error.layer).__module__
    else:
        cause = error.cause if isinstance(error, LayerFault) else error
        plugin = next(_plugins_at_work(cause, registry), None)
        if plugin is None:
            return None
        place, module = f"plugin {plugin.owner}", plugin.module.partition(":")[0]
    named = TrainingError(
        f"{place} raised {type(cause).__name__} at {when}: {cause}. "
        "This is a fault of the plugin, not of the spec"
    )
    lines = [line for name, line in _lines(cause) if _is_of(name, module)]
    if lines:
        named.add_note(f"   = note: raised at {lines[-1]}")
    return named


def describe(path: str, layer: Layer, registry: Registry) -> str:
    """Return "layer 4 (prelu of cnnkit-prelu 0.1.0)" for path 3_prelu."""
    entry = registry.entry_of(type(layer))
    owner = entry.owner if entry else f"module {type(layer).__module__}"
    return f"layer {place_of(path)[0]} ({layer.type} of {owner})"


def is_foreign(layer: Layer, registry: Registry) -> bool:
    """Tell if somebody else than cnnkit wrote the layer."""
    entry = registry.entry_of(type(layer))
    return not (entry.built_in if entry else type(layer).__module__.startswith("cnnkit."))


def _plugins_at_work(error: BaseException, registry: Registry) -> Iterator[Plugin]:
    """Yield the third-party plugins whose code was running, the innermost first."""
    for module, _ in reversed([*_lines(error)]):
        for plugin in registry.third_party():
            if _is_of(module, plugin.module.partition(":")[0]):
                yield plugin


def _is_of(module: str, root: str) -> bool:
    return module == root or module.startswith(f"{root}.")


def _lines(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield the module and "file:line" of each call under way, the innermost last."""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        line = f"{frame.f_code.co_filename}:{traceback.tb_lineno}"
        yield frame.f_globals.get("__name__", ""), line
        traceback = traceback.tb_next


ADVICE = "lower the learning rate, or add a warm-up to its schedule"


def diverged(model: Model) -> str:
    """Return a message that names the first weight with a value that is not finite, or ""."""
    for path, weight in flatten(model.weights).items():
        if not np.isfinite(weight).all():
            owner = spoken(path.partition("/")[0])
            return f"weight {path} of {owner} has diverged; {ADVICE}"
    return ""


@np.errstate(all="ignore")  # values that are not finite are what it looks for
def blame(plan: Plan, model: Model, batch: Batch, step: int) -> str:
    """Return a message that names the step and the first layer with a value that is not finite."""
    when, advice = f"epoch {batch.key[1] + 1}, step {step + 1}", ADVICE
    if culprit := diverged(model):
        return f"the loss is not finite at {when}: {culprit}"
    for shard in range(len(batch)):
        x = batch.input(shard, FRESH)
        if not np.isfinite(x).all():
            return f"the loss is not finite at {when}: the images are not finite; check the data"
        for segment in plan.segments:
            for name, layer in segment.steps:
                ctx = batch.context(shard, FRESH).child(name)
                x, _ = layer.forward(x, model.weights.get(name, {}), ctx)
                if not np.isfinite(x).all():
                    return (
                        f"the loss is not finite at {when}: {spoken(name)} is the first to "
                        f"give values that are not finite; {advice}"
                    )
    return f"the loss is not finite at {when}, though every layer's output is; {advice}"


_KEY = (0, 0, 0, 0)
_IMAGES = 3


def trial_step(plan: Plan, model: Model, registry: Registry) -> set[str]:
    """Return the paths of the weights that receive a gradient.

    Raises:
        TrainingError: where no weight learns, or a layer does not do what it declared, found
            before training starts: it names layer, type and distribution, what was expected and
            what came.
    """
    steps = [step for segment in plan.segments for step in segment.steps]
    x = generator(_KEY, "probe").standard_normal((_IMAGES, *model.input_shape)).astype(model.dtype)
    with attribute(registry, lambda: "the trial step"):
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
