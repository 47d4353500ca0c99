"""Checks of what a layer says about itself without being run."""

from __future__ import annotations

import tracemalloc
from math import prod

from cnnkit.arrays import Shape, flatten
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.failure import require
from cnnkit.testing.layer_shape_checks import accepts
from cnnkit.testing.probe import Probe

_ADD_UP = "add up the sizes of all weights; the memory estimate is built on it"


@check
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


@check
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


@check
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


LAYER_RULE_CHECKS: tuple[Check, ...] = (
    lowering_is_final,
    shape_needs_no_arrays,
    counts_are_true,
)


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
