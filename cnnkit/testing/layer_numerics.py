"""Checks of a layer's numbers: its derivative, large inputs, and memory when it is done."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable
from itertools import product
from math import prod

import numpy as np

from cnnkit.arrays import Array, Shape, Weights, flatten, unflatten
from cnnkit.base import Layer
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.probe import Probe
from cnnkit.testing.tools import TOLERANCE, not_finite, numeric_derivative, require_close

kit = Kit("layer")

_DRAWS = 12
_SCALES = (1, 10)
"""How large inputs are: a bound such as 6 shows only in the larger ones."""
Draw = Callable[[int], Array]
Place = Callable[[Array], tuple[Array, Weights]]
_LARGE = 1e3
_STEPS = 4


@kit.check
def backward_is_linear(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward(a + 3b) = backward(a) + 3 backward(b): it is a derivative, for any loss."""
    probe = Probe(layer, shape, seed)
    a, b = probe.dy(draw=80), probe.dy(draw=81)
    x, w, ctx = probe.x(), probe.weights(), probe.context()
    one, two, both = (probe.step(x, dy, w, ctx).arrays() for dy in (a, b, a + 3 * b))
    wanted = {name: one[name] + 3 * two[name] for name in one if name != "y"}
    what = "{name} is not linear in dy"
    fix = "multiply by dy once in every term; assume nothing about the loss"
    got = {name: both[name] for name in wanted}
    require_close(wanted, got, what, expected="a linear map of dy", fix=fix)


@kit.check
def input_gradient(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """dx is the derivative of forward, in float64, along random directions."""
    probe = Probe(layer, shape, seed)
    for scale, training in product(_SCALES, (True, False)):
        _agree(probe, training, "dx", *_ways_to_move_x(probe, scale), _mode(scale, training))


@kit.check
def weight_gradients(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Every weight's gradient is its derivative, in float64, along random directions."""
    probe = Probe(layer, shape, seed)
    for path in probe.step(probe.x(), probe.dy(), probe.weights(), probe.context()).grads:
        for scale, training in product(_SCALES, (True, False)):
            ways = _ways_to_move(probe, path, scale)
            _agree(probe, training, path, *ways, _mode(scale, training))


def _mode(scale: int, training: bool) -> str:
    mode = "training" if training else "evaluation"
    return mode if scale == 1 else f"{mode}, for inputs around {scale}"


def _ways_to_move_x(probe: Probe, scale: int) -> tuple[Draw, Place]:
    """Return how to draw inputs, and (x, weights) for such an input."""
    w = probe.weights()
    return lambda number: scale * probe.x(draw=number), lambda x: (x, w)


def _ways_to_move(probe: Probe, path: str, scale: int) -> tuple[Draw, Place]:
    """Return how to draw values of one weight, and (x, weights) for such a value."""
    flat = flatten(probe.weights())

    def draw(number: int) -> Array:
        return np.asarray(flat[path] + 0.01 * probe.rng(number).standard_normal(flat[path].shape))

    return draw, lambda value: (scale * probe.x(), unflatten({**flat, path: value}))


def _agree(probe: Probe, training: bool, name: str, draw: Draw, place: Place, mode: str) -> None:
    """Compare a gradient with the measured slope, at the first drawn point without a kink."""
    ctx = probe.context(training)
    for number in range(100, 100 + 3 * _DRAWS, 3):
        at, dy = draw(number), probe.dy(draw=number + 1)
        direction = probe.rng(number + 2).standard_normal(at.shape)
        step = probe.step(*_swap(place(at), dy), ctx)
        parts = (step.dx if name == "dx" else step.grads[name]) * direction
        size = 1 + float(np.linalg.norm(parts))

        def along(t: float, at: Array = at, dy: Array = dy, v: Array = direction) -> float:
            y, _ = probe.forward(*place(at + t * v), ctx)
            return float(np.sum(y * dy))

        measured = numeric_derivative(along, size) if np.isfinite(size) else 0.0
        if measured is not None:
            _compare(name, measured, float(parts.sum()), size, mode)
            return
    raise Fault(
        f"forward is not smooth at any of {_DRAWS} random points",
        expected="a function that has a derivative almost everywhere",
        got=f"slopes that depend on the step, for {name}",
        fix="round nothing, draw nothing outside ctx.rng(), and compute in x.dtype",
    )


def _swap(point: tuple[Array, Weights], dy: Array) -> tuple[Array, Array, Weights]:
    return point[0], dy, point[1]


def _compare(name: str, measured: float, claimed: float, size: float, mode: str) -> None:
    what = name if name == "dx" else f"the gradient of {name}"
    ratio = f", {claimed / measured:.4g} times the slope" if measured else ""
    require(
        abs(claimed - measured) <= 10 * TOLERANCE * size,
        f"{what} is not the derivative of forward (in {mode})",
        expected=f"slope {measured:.8g} along a random direction",
        got=f"{claimed:.8g}{ratio}",
        fix="derive backward again from the formula of forward; mind axes, factors and signs",
    )


@kit.check
def memory_is_freed(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """When backward is done, nothing keeps x alive and nothing grows from step to step."""
    probe = Probe(layer, shape, seed)
    collecting = gc.isenabled()
    gc.disable()
    try:
        kept = _kept_alive(probe)
        grown = _growth(probe)
    finally:
        if collecting:
            gc.enable()
    fix = "keep no array on self, the class, the module or in a cache; avoid reference cycles"
    require(
        not kept,
        "x is still alive after backward",
        expected="its memory freed",
        got="a reference that only the garbage collector may find",
        fix=fix,
    )
    require(
        grown < 2 * _batch(probe).nbytes,
        f"memory grows over {_STEPS} steps",
        expected="the same memory after each step",
        got=f"{grown:,} bytes more, for inputs of {_batch(probe).nbytes:,}",
        fix=fix,
    )


@kit.check
def extreme_input_stays_finite(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Zeros, and inputs around 1000, give finite y, dx and gradients in float32."""
    probe = Probe(layer, shape, seed)
    x, dy = probe.x(dtype=np.float32), probe.dy(dtype=np.float32)
    for what, extreme in (("zeros", x * 0), ("values around 1000", x * np.float32(_LARGE))):
        step = probe.step(extreme, dy, probe.weights(np.float32), probe.context())
        lost = list(not_finite(step.arrays()))
        require(
            not lost,
            f"{what} going in give NaN or infinity",
            expected="finite numbers",
            got="; ".join(lost),
            fix="subtract the maximum before exp, add an epsilon under roots and divisions",
        )


@kit.check
def probabilities_are_probabilities(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A layer that declares `probabilities` gives rows that are >= 0 and sum to 1."""
    probe = Probe(layer, shape, seed)
    for training in (True, False) if layer.probabilities else ():
        y, _ = probe.forward(probe.x(), probe.weights(), probe.context(training))
        _require_probabilities(y, "training" if training else "evaluation")


def _require_probabilities(y: Array, mode: str) -> None:
    require(
        bool(np.all(y >= 0)) and bool(np.allclose(y.sum(axis=-1), 1)),
        f"the outputs are not probabilities (in {mode})",
        expected="rows that are >= 0 and sum to 1",
        got=f"sums from {y.sum(axis=-1).min():.4g} to {y.sum(axis=-1).max():.4g}",
        fix="normalise over the last axis, or leave out `probabilities`",
    )


def _batch(probe: Probe) -> Array:
    """Draw a batch large enough to stand out from Python's own small allocations."""
    return probe.x(2 + 4096 // prod(probe.shape))


def _kept_alive(probe: Probe) -> bool:
    x = probe.x()
    watch = weakref.ref(x)
    y, back = probe.forward(x, probe.weights(), probe.context())
    probe.backward(back, probe.dy())
    del x, y, back
    return watch() is not None


def _growth(probe: Probe) -> int:
    x, w, ctx = _batch(probe), probe.weights(), probe.context()
    dy = probe.dy(len(x))
    probe.step(x, dy, w, ctx)
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(_STEPS):
            probe.step(x, dy, w, ctx)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        if not was_tracing:
            tracemalloc.stop()
