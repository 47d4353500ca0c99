"""Checks of a layer's edges: large inputs, probabilities, and memory when it is done."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from math import prod

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import not_finite
from cnnkit.testing.failure import require
from cnnkit.testing.probe import Probe

_LARGE = 1e3
_STEPS = 4


@check
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


@check
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


@check
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


LAYER_EDGE_CHECKS: tuple[Check, ...] = (
    memory_is_freed,
    extreme_input_stays_finite,
    probabilities_are_probabilities,
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
