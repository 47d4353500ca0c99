"""Checks of a layer's derivative."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from cnnkit.arrays import Array, Shape, Weights, flatten, unflatten
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close
from cnnkit.testing.failure import Fault, require
from cnnkit.testing.probe import Probe
from cnnkit.testing.slope import TOLERANCE, slope

_DRAWS = 12
_SCALES = (1, 10)
"""How large inputs are: a bound such as 6 shows only in the larger ones."""


@check
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


@check
def input_gradient(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """dx is the derivative of forward, in float64, along random directions."""
    probe = Probe(layer, shape, seed)
    for scale, training in product(_SCALES, (True, False)):
        _agree(probe, training, "dx", *_ways_to_move_x(probe, scale), _mode(scale, training))


@check
def weight_gradients(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Every weight's gradient is its derivative, in float64, along random directions."""
    probe = Probe(layer, shape, seed)
    for path in probe.step(probe.x(), probe.dy(), probe.weights(), probe.context()).grads:
        for scale, training in product(_SCALES, (True, False)):
            ways = _ways_to_move(probe, path, scale)
            _agree(probe, training, path, *ways, _mode(scale, training))


LAYER_GRADIENT_CHECKS: tuple[Check, ...] = (backward_is_linear, input_gradient, weight_gradients)

Draw = Callable[[int], Array]
Place = Callable[[Array], tuple[Array, Weights]]


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

        measured = slope(along, size) if np.isfinite(size) else 0.0
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
