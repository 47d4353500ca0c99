"""Checks of what a layer declares: initial weights, counts and shapes that come true."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Shape, Weights, flatten
from cnnkit.base import Layer
from cnnkit.errors import ShapeError
from cnnkit.testing.check import Fault, Kit, require
from cnnkit.testing.probe import Probe
from cnnkit.testing.tools import buffer_names, require_same

kit = Kit("layer")

_ADD_UP = "add up the sizes of all weights; the memory estimate is built on it"
_RULE = "make output_shape compute what forward does, or raise ShapeError where it cannot"


@kit.check
def weights_are_plain(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """init_weights returns finite float arrays under names without a slash."""
    tree = Probe(layer, shape, seed).initial()
    require(
        _names_are_plain(tree),
        "init_weights returns a tree with illegal names",
        expected='names such as "W" and "b"',
        got=str(list(tree)),
        fix='use words without "/", which separates the levels of the tree',
    )
    for path, value in flatten(tree).items():
        ok = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        require(
            ok and bool(np.isfinite(value).all()),
            f"the initial weight {path} is not a finite float array",
            expected="a float array",
            got=f"{value.dtype} array" if isinstance(value, np.ndarray) else repr(value),
            fix="draw it with rng, or wrap it: np.full(shape, 0.25)",
        )


@kit.check
def same_rng_same_weights(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """init_weights draws from its rng alone: equal generators give equal weights."""
    one, two = (flatten(Probe(layer, shape, seed).initial()) for _ in range(2))
    require(
        list(one) == list(two),
        "the same rng gives other weights",
        expected=str(list(one)),
        got=str(list(two)),
        fix="make the names depend on options and shape alone",
    )
    for path, value in one.items():
        fix = "draw from the rng that init_weights is given, never from one of your own"
        require_same(value, two[path], f"the same rng gives another {path}", fix=fix)


@kit.check
def other_rng_other_weights(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Weights that look random differ for another rng: seeds must matter.

    Two values at most, or evenly spaced ones, do not look random.
    """
    probe = Probe(layer, shape, seed)
    one, two = flatten(probe.initial(5)), flatten(probe.initial(6))
    for path in one.keys() & two.keys():
        patterned = path.rpartition("/")[2] in buffer_names(probe.layer)
        looks_random = not patterned and not _evenly_spaced(one[path])
        require(
            not (looks_random and np.array_equal(one[path], two[path])),
            f"{path} is the same for every rng",
            expected="other values for another seed",
            got="the same values",
            fix="draw from the rng that init_weights is given; an array that never learns belongs "
            "in `buffers`; for a pattern that does learn, name this check in expected_failures",
        )


def _evenly_spaced(array: Array) -> bool:
    gaps = np.diff(np.unique(array))
    return len(gaps) < 2 or bool(np.ptp(gaps) <= 4 * np.spacing(np.abs(array).max()))


def _names_are_plain(tree: Weights) -> bool:
    plain = all(isinstance(n, str) and n and "/" not in n for n in tree)
    return plain and all(_names_are_plain(t) for t in tree.values() if isinstance(t, dict))


@kit.check
def lowering_is_final(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """lower returns a layer of the same output shape, which lowers to its equal."""
    lowered = layer.lower()
    again = lowered.lower()
    require(
        again == lowered,
        "lower() does not reach an end",
        expected="layers that lower to themselves",
        got=f"{again!r} from {lowered!r}",
        fix="lower the inner layers too: [layer.lower() for layer in self.layers]",
    )
    wanted, got = layer.output_shape(shape), lowered.output_shape(shape)
    require(
        wanted == got,
        "lower() changes the output shape",
        expected=str(wanted),
        got=str(got),
        fix="derive from base.Macro, which takes the shape from lower()",
    )


@kit.check
def shape_needs_no_arrays(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """output_shape answers for huge maps at once: it computes with ints, not with arrays."""
    large = (*shape[:1], *(2**10 * n for n in shape[1:])) if len(shape) > 1 else (2**20,)
    if not accepts(layer, large):
        return
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        layer.output_shape(large)
        used = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not was_tracing:
            tracemalloc.stop()
    require(
        used < 2 * prod(large),
        "output_shape allocates arrays",
        expected=f"a few ints for an input of {large}",
        got=f"{used:,} bytes",
        fix="write the size rule with ints: specs are judged before anything is allocated",
    )


@kit.check
def counts_are_true(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """macs is a count, and weight_count is what init_weights draws.

    0 stands for next to nothing: the same few whatever the shape, or at most 4 per channel.
    """
    macs, count = layer.macs(shape), layer.weight_count(shape)
    require(
        type(macs) is int and macs >= 0 and type(count) is int,
        "macs or weight_count is not a count",
        expected="ints >= 0",
        got=f"macs {macs!r}, weight_count {count!r}",
        fix="compute them from ints",
    )
    drawn = _drawn(layer, shape, seed)
    require(
        count == drawn or (count == 0 and drawn < 10_000),
        "weight_count is not what init_weights draws",
        expected=str(drawn),
        got=str(count),
        fix=_ADD_UP,
    )
    if count == 0 and drawn:
        _require_little(layer, shape, seed)


def _drawn(layer: Layer, shape: Shape, seed: int) -> int:
    return sum(a.size for a in flatten(Probe(layer, shape, seed).initial()).values())


def _require_little(layer: Layer, shape: Shape, seed: int) -> None:
    """Demand that the weights stay next to nothing where every axis is twice as long."""
    larger = tuple(2 * n for n in shape)
    if not accepts(layer, larger):
        return
    drawn, more = (_drawn(layer, one, seed) for one in (shape, larger))
    require(
        more == drawn or more <= 4 * larger[0],
        "weight_count is 0, but the weights grow with the shape",
        expected=f"{drawn} for {shape}, {more} for {larger}",
        got="0",
        fix=_ADD_UP,
    )


@kit.check
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


@kit.needed
def a_step_runs(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """forward and backward run on the case's own shape, and return what they should."""
    probe = Probe(layer, shape, seed)
    for training in (True, False):
        y, back = probe.forward(probe.x(), probe.weights(), probe.context(training))
        probe.backward(back, np.ones_like(y))


@kit.check
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


@kit.check
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
