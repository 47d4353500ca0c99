"""Checks of a layer's numbers: its derivative, large inputs, and memory when it is done."""

from __future__ import annotations

import gc
import weakref
from itertools import product
from math import prod

import numpy as np

from cnnkit.arrays import Array, Weights, flatten, unflatten
from cnnkit.base import Context
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.probe import Probe
from cnnkit.testing.tools import (
    TOLERANCE,
    allocated,
    numeric_derivative,
    require_close,
    require_finite,
)

kit = Kit("layer", case=Probe)

_DRAWS = 12
_SCALES = (1, 10)
"""How large inputs are: a bound such as 6 shows only in the larger ones."""
_DERIVE = "derive backward again from the formula of forward; mind axes, factors and signs"
_LARGE = 1e3
_STEPS = 4


@kit.check("multiply by dy once in every term; assume nothing about the loss")
def backward_is_linear(probe: Probe) -> None:
    """backward(a + 3b) = backward(a) + 3 backward(b): it is a derivative, for any loss."""
    a, b, w = probe.dy(draw=80), probe.dy(draw=81), probe.weights()
    one, two, both = (probe.step(dy=dy, w=w).arrays() for dy in (a, b, a + 3 * b))
    wanted = {name: one[name] + 3 * two[name] for name in one if name != "y"}
    got = {name: both[name] for name in wanted}
    require_close(wanted, got, "{name} is not linear in dy", expected="a linear map of dy")


@kit.check(_DERIVE)
def input_gradient(probe: Probe) -> None:
    """dx is the derivative of forward, in float64, along random directions."""
    _require_derivative(probe, "dx")


@kit.check(_DERIVE)
def weight_gradients(probe: Probe) -> None:
    """Every weight's gradient is its derivative, in float64, along random directions."""
    for path in probe.step().grads:
        _require_derivative(probe, path)


def _require_derivative(probe: Probe, name: str) -> None:
    for scale, training in product(_SCALES, (True, False)):
        mode = "training" if training else "evaluation"
        mode += f", for inputs around {scale}" if scale > 1 else ""
        _agree(probe, name, scale, probe.context(training), mode)


def _agree(probe: Probe, name: str, scale: int, ctx: Context, mode: str) -> None:
    """Compare a gradient with the measured one, at the first drawn point without a kink."""
    arrays = {"dx": scale * probe.x(), **flatten(probe.weights())}

    def place(value: Array) -> tuple[Array, Weights]:
        moved = {**arrays, name: value}
        return moved.pop("dx"), unflatten(moved)

    for number in range(100, 100 + 3 * _DRAWS, 3):
        noise = probe.rng(number).standard_normal(arrays[name].shape)
        at = scale * noise if name == "dx" else np.asarray(arrays[name] + 0.01 * noise)
        dy, v = probe.dy(draw=number + 1), probe.rng(number + 2).standard_normal(at.shape)
        x, w = place(at)
        step = probe.step(x, dy, w, ctx)
        parts = (step.dx if name == "dx" else step.grads[name]) * v
        size = 1 + float(np.linalg.norm(parts))

        def along(t: float, at: Array = at, dy: Array = dy, v: Array = v) -> float:
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


def _compare(name: str, measured: float, claimed: float, size: float, mode: str) -> None:
    what = name if name == "dx" else f"the gradient of {name}"
    ratio = f", {claimed / measured:.4g} times the slope" if measured else ""
    require(
        abs(claimed - measured) <= 10 * TOLERANCE * size,
        f"{what} is not the derivative of forward (in {mode})",
        expected=f"slope {measured:.8g} along a random direction",
        got=f"{claimed:.8g}{ratio}",
    )


@kit.check("keep no array on self, the class, the module or in a cache; avoid reference cycles")
def memory_is_freed(probe: Probe) -> None:
    """When backward is done, nothing keeps x alive and nothing grows from step to step."""
    batch = probe.x(2 + 4096 // prod(probe.shape))  # stands out from Python's own allocations
    collecting = gc.isenabled()
    gc.disable()
    try:
        kept, grown = _kept_alive(probe), _growth(probe, batch)
    finally:
        if collecting:
            gc.enable()
    got = "a reference that only the garbage collector may find"
    require(not kept, "x is still alive after backward", expected="its memory freed", got=got)
    what = f"memory grows over {_STEPS} steps"
    got = f"{grown:,} bytes more, for inputs of {batch.nbytes:,}"
    require(grown < 2 * batch.nbytes, what, expected="the same memory after each step", got=got)


def _kept_alive(probe: Probe) -> bool:
    x = probe.x()
    watch = weakref.ref(x)
    y, back = probe.forward(x)
    probe.backward(back, probe.dy())
    del x, y, back
    return watch() is not None


def _growth(probe: Probe, x: Array) -> int:
    dy, w, ctx = probe.dy(len(x)), probe.weights(), probe.context()

    def steps() -> None:
        for _ in range(_STEPS):
            probe.step(x, dy, w, ctx)

    probe.step(x, dy, w, ctx)
    return allocated(steps)[0]


@kit.check("subtract the maximum before exp, add an epsilon under roots and divisions")
def extreme_input_stays_finite(probe: Probe) -> None:
    """Zeros, and inputs around 1000, give finite y, dx and gradients in float32."""
    x = probe.x(dtype=np.float32)
    for what, extreme in (("zeros", x * 0), ("values around 1000", x * np.float32(_LARGE))):
        step = probe.step(extreme).arrays()
        require_finite(step, f"{what} going in give NaN or infinity")


@kit.check("normalise over the last axis, or leave out `probabilities`")
def probabilities_are_probabilities(probe: Probe) -> None:
    """A layer that declares `probabilities` gives rows that are >= 0 and sum to 1."""
    for training in (True, False) if probe.layer.probabilities else ():
        y, _ = probe.forward(ctx=probe.context(training))
        sums = y.sum(axis=-1)
        require(
            bool(np.all(y >= 0)) and bool(np.allclose(sums, 1)),
            f"the outputs are not probabilities (in {'training' if training else 'evaluation'})",
            expected="rows that are >= 0 and sum to 1",
            got=f"sums from {sums.min():.4g} to {sums.max():.4g}",
        )
