"""Checks of a layer's shape rule: integers that come true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnkit.arrays import Shape
from cnnkit.base import Layer
from cnnkit.errors import ShapeError
from cnnkit.testing.check import Check, check
from cnnkit.testing.failure import Fault, require
from cnnkit.testing.probe import Probe

_RULE = "make output_shape compute what forward does, or raise ShapeError where it cannot"


@check
def a_step_runs(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """forward and backward run on the case's own shape, and return what they should."""
    probe = Probe(layer, shape, seed)
    for training in (True, False):
        y, back = probe.forward(probe.x(), probe.weights(), probe.context(training))
        probe.backward(back, np.ones_like(y))


@check
def declared_shape_is_plain(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """output_shape returns a tuple of positive Python ints, the same for equal shapes."""
    declared = layer.output_shape(shape)
    require(
        _is_shape(declared) and declared == layer.output_shape(tuple(shape)),
        "output_shape does not return plain positive ints",
        expected="a tuple such as (6, 12, 12), without the batch axis",
        got=repr(declared),
        fix="use // on ints, never NumPy numbers, lists or None; raise ShapeError for size 0",
    )


@check
def declared_shape_is_real(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """forward gives (N, *output_shape), for the shape itself and the sizes next to it."""
    require(
        accepts(layer, shape),
        f"output_shape refuses the case's own shape {shape}",
        expected="a shape that the layer can take",
        got="ShapeError",
        fix="mend output_shape, or give the kit a shape that fits these options",
    )
    for near in _neighbours(shape):
        if accepts(layer, near):
            _runs_as_declared(layer, near, seed)


@check
def wrong_rank_refused(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A shape of another rank raises ShapeError, or works: forward never meets a bad one."""
    for other in ((4,), (4, 4), (2, 4, 4), (2, 4, 4, 4)):
        if len(other) != len(shape) and accepts(layer, other):
            _runs_as_declared(layer, other, seed)


LAYER_SHAPE_CHECKS: tuple[Check, ...] = (
    declared_shape_is_plain,
    a_step_runs,
    declared_shape_is_real,
    wrong_rank_refused,
)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(n) is int and n > 0 for n in value)


def accepts(layer: Layer, shape: Shape) -> bool:
    """Return whether output_shape takes `shape`; anything but ShapeError is a fault."""
    try:
        layer.output_shape(shape)
    except ShapeError:
        return False
    except Exception as error:
        raise Fault(
            f"output_shape({shape}) raised {type(error).__name__}: {error}",
            expected="a shape, or ShapeError saying what the layer can take",
            got=type(error).__name__,
            fix="check len(shape) and the sizes first, and raise cnnkit.errors.ShapeError",
        ) from error
    return True


def _neighbours(shape: Shape) -> Iterator[Shape]:
    yield shape
    for axis, size in enumerate(shape):
        for other in {max(1, size - 1), size + 1, size + 2} - {size}:
            yield (*shape[:axis], other, *shape[axis + 1 :])
    yield (*shape[:1], *(1 for _ in shape[1:]))


def _runs_as_declared(layer: Layer, shape: Shape, seed: int) -> None:
    probe, declared = Probe(layer, shape, seed), layer.output_shape(shape)
    for N in (2, 3):
        try:
            y = probe.forward(probe.x(N), probe.weights(), probe.context())[0]
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise Fault(
                f"output_shape accepts {shape}, which forward cannot take",
                expected=f"an output of shape {(N, *declared)}",
                got=f"{type(error).__name__}: {error}",
                fix=_RULE,
            ) from error
        require(
            y.shape == (N, *declared) and _is_shape(declared),
            f"output_shape is wrong for inputs of {shape}",
            expected=f"{(N, *declared)}, N = {N} samples of the declared {declared}",
            got=str(y.shape),
            fix=_RULE,
        )
