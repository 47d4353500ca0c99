"""Checks of what a layer declares: initial weights, counts and shapes that come true."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Shape, flatten
from cnnkit.base import Layer
from cnnkit.base.weight import declared
from cnnkit.errors import PluginError, ShapeError
from cnnkit.testing.check import Fault, Kit, require, require_equal
from cnnkit.testing.probe import Probe
from cnnkit.testing.tools import allocated, require_finite, require_same

kit = Kit("layer")

_RULE = "make output_shape compute what forward does, or raise ShapeError where it cannot"


@kit.check("mend its initializer")
def weights_are_plain(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """weights declares Weights under plain names, and what is drawn for them is finite."""
    try:
        declared(layer.weights(shape))
    except PluginError as error:
        raise Fault(
            "weights declares what cannot be drawn",
            expected='a mapping such as {"slope": Weight((3,), 0.25)}',
            got=str(error),
            fix="return a Weight for each array, under a word; a container returns the weights of "
            "the layers inside, under their names",
        ) from None
    for path, value in flatten(Probe(layer, shape, seed).initial()).items():
        require_finite({path: value}, f"the initial weight {path} is not finite")


@kit.check("draw from the rng that the initializer is given, never from one of its own")
def same_rng_same_weights(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Weights depend on options, shape and rng alone: equal ones give equal weights."""
    probe = Probe(layer, shape, seed)
    what, fix = "weights declares something else at every call", "compute it from options and shape"
    require_equal(probe.declared(), probe.declared(), what, fix=f"{fix} alone")
    again = flatten(probe.initial())
    for path, value in flatten(probe.initial()).items():
        require_same(value, again[path], f"the same rng gives another {path}")


@kit.check(
    "draw from the rng that the initializer is given; an array that never learns is declared with "
    "learns=False; for a pattern that does learn, name this check in expected_failures"
)
def other_rng_other_weights(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Weights that look random differ for another rng: seeds must matter.

    Two values at most, or evenly spaced ones, do not look random.
    """
    probe = Probe(layer, shape, seed)
    one, two = flatten(probe.initial(5)), flatten(probe.initial(6))
    for path, weight in probe.declared().items():
        looks_random = weight.learns and not _evenly_spaced(one[path])
        require(
            not (looks_random and np.array_equal(one[path], two[path])),
            f"{path} is the same for every rng",
            expected="other values for another seed",
            got="the same values",
        )


def _evenly_spaced(array: Array) -> bool:
    gaps = np.diff(np.unique(array))
    rounding = np.spacing(np.float32(np.abs(array).max()))
    return len(gaps) < 2 or bool(np.ptp(gaps) <= 4 * rounding)


@kit.check("derive from base.Macro, which takes both from lower()")
def lowering_is_final(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """lower returns a layer of the same output shape and weights, which lowers to its equal."""
    lowered = layer.lower()
    again = lowered.lower()
    require(
        again == lowered,
        "lower() does not reach an end",
        expected="layers that lower to themselves",
        got=f"{again!r} from {lowered!r}",
        fix="lower the inner layers too: [layer.lower() for layer in self.layers]",
    )
    for what, wanted, got in (
        ("output shape", layer.output_shape(shape), lowered.output_shape(shape)),
        ("weights", declared(layer.weights(shape)), declared(lowered.weights(shape))),
    ):
        require_equal(wanted, got, f"lower() changes the {what}")


@kit.check(
    "compute sizes from ints, and draw in an initializer: specs are judged before anything is "
    "allocated"
)
def shape_needs_no_arrays(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """output_shape and weights answer for huge maps at once: with ints, not with arrays."""
    large = (*shape[:1], *(2**10 * n for n in shape[1:])) if len(shape) > 1 else (2**20,)
    if not accepts(layer, large):
        return
    _, used = allocated(lambda: (layer.output_shape(large), layer.weights(large)))
    what, got = "output_shape or weights allocates arrays", f"{used:,} bytes"
    require(used < 2 * prod(large), what, expected=f"a few ints for an input of {large}", got=got)


@kit.check("compute it from ints")
def counts_are_true(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """macs is a count."""
    macs = layer.macs(shape)
    is_count = type(macs) is int and macs >= 0
    require(is_count, "macs is not a count", expected="an int >= 0", got=repr(macs))


@kit.check("use // on ints, never NumPy numbers, lists or None; raise ShapeError for size 0")
def declared_shape_is_plain(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """output_shape returns a tuple of positive Python ints, the same for equal shapes."""
    declared = layer.output_shape(shape)
    require(
        _is_shape(declared) and declared == layer.output_shape(tuple(shape)),
        "output_shape does not return plain positive ints",
        expected="a tuple such as (6, 12, 12), without the batch axis",
        got=repr(declared),
    )


@kit.check(needed=True)
def a_step_runs(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """forward and backward run on the case's own shape, and return what they should."""
    probe = Probe(layer, shape, seed)
    for training in (True, False):
        y, back = probe.forward(ctx=probe.context(training))
        probe.backward(back, np.ones_like(y))


@kit.check(_RULE)
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


@kit.check(_RULE)
def wrong_rank_refused(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A shape of another rank raises ShapeError, or works: forward never meets a bad one."""
    for other in ((4,), (4, 4), (2, 4, 4), (2, 4, 4, 4)):
        if len(other) != len(shape) and accepts(layer, other):
            _runs_as_declared(layer, other, seed)


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
            y, _ = probe.forward(probe.x(N))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise Fault(
                f"output_shape accepts {shape}, which forward cannot take",
                expected=f"an output of shape {(N, *declared)}",
                got=f"{type(error).__name__}: {error}",
            ) from error
        require(
            y.shape == (N, *declared) and _is_shape(declared),
            f"output_shape is wrong for inputs of {shape}",
            expected=f"{(N, *declared)}, N = {N} samples of the declared {declared}",
            got=str(y.shape),
        )
