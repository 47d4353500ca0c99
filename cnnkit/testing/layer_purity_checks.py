"""Checks that a layer leaves alone what it is given, and keeps its number type."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, Shape, flatten
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_same
from cnnkit.testing.failure import require
from cnnkit.testing.probe import Probe

_COPY = "compute into a new array or ctx.scratch.empty(...), never `{0} *= ...` or out={0}"


@check
def input_unmodified(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """forward and backward leave x as it was: residuals and the layer before still need it."""
    for training in (True, False):
        probe = Probe(layer, shape, seed)
        x, before = probe.x(), probe.x()
        _, back = probe.forward(x, probe.weights(), probe.context(training))
        require_same(before, x, "forward changes its input", fix=_COPY.format("x"))
        probe.backward(back, probe.dy())
        require_same(before, x, "backward changes the input x", fix=_COPY.format("x"))


@check
def weights_unmodified(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """forward and backward leave the weights as they were: the optimizer moves them."""
    for training in (True, False):
        probe = Probe(layer, shape, seed)
        w, before = probe.weights(), flatten(probe.weights())
        probe.step(probe.x(), probe.dy(), w, probe.context(training))
        for path, value in before.items():
            after: Array = flatten(w).get(path, np.empty(0))
            require_same(
                value, after, f"the layer changes its weight {path}", fix=_COPY.format("w[name]")
            )


@check
def dy_unmodified(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward leaves dy as it was: a residual hands the same dy to two branches."""
    for training in (True, False):
        probe = Probe(layer, shape, seed)
        dy = probe.dy()
        probe.step(probe.x(), dy, probe.weights(), probe.context(training))
        require_same(probe.dy(), dy, "backward changes dy", fix=_COPY.format("dy"))


@check
def output_unmodified(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward leaves the output as it was: metrics still read the last one."""
    probe = Probe(layer, shape, seed)
    y, back = probe.forward(probe.x(), probe.weights(), probe.context())
    before = y.copy()
    probe.backward(back, probe.dy())
    require_same(before, y, "backward changes the output y", fix=_COPY.format("y"))


@check
def float32_stays_float32(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """float32 in gives float32 out: y, dx and every gradient."""
    _keeps_dtype(layer, shape, seed, np.float32)


@check
def float64_stays_float64(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """float64 in gives float64 out, so that gradients can be checked closely."""
    _keeps_dtype(layer, shape, seed, np.float64)


LAYER_PURITY_CHECKS: tuple[Check, ...] = (
    input_unmodified,
    weights_unmodified,
    dy_unmodified,
    output_unmodified,
    float32_stays_float32,
    float64_stays_float64,
)


def _keeps_dtype(layer: Layer, shape: Shape, seed: int, dtype: npt.DTypeLike) -> None:
    name = np.dtype(dtype).name
    for training in (True, False):
        probe = Probe(layer, shape, seed)
        x, dy = probe.x(dtype=dtype), probe.dy(dtype=dtype)
        step = probe.step(x, dy, probe.weights(dtype), probe.context(training))
        for what, array in step.arrays().items():
            require(
                array.dtype == dtype,
                f"{what} does not keep the input's dtype",
                expected=name,
                got=array.dtype.name,
                fix="make constants and new arrays of x.dtype: x.dtype.type(0.5), "
                "np.zeros(shape, x.dtype), rng.random(shape, x.dtype)",
            )
