"""Checks that a layer's randomness is a function of its context alone."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close
from cnnkit.testing.failure import require
from cnnkit.testing.probe import Probe
from cnnkit.testing.randomness import global_seed
from cnnkit.testing.scratch import HostileScratch

_SHARDS = 50


@check
def evaluation_is_deterministic(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Outside training the output depends on x and the weights alone."""
    probe = Probe(layer, shape, seed)
    one, two = (_output(probe, False, shard, shard) for shard in (0, 1))
    fix = "be random only where ctx.training is true; in evaluation use the expected value"
    _equal(one, two, "evaluation gives two outputs for one input", fix)


@check
def randomness_comes_from_context(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """In training the same context gives the same output: a run can be replayed."""
    probe = Probe(layer, shape, seed)
    one, two = (_output(probe, True, 0, seed) for seed in (1, 2))
    fix = "draw from ctx.rng(), a new generator in every forward; no state, no clock, no np.random"
    _equal(one, two, "the same context gives two outputs for one input", fix)


@check
def backward_repeats_forwards_draw(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward uses what forward drew: zero where forward dropped, never a second draw."""
    probe = Probe(layer, shape, seed)
    one, two = (_step(probe) for _ in range(2))
    what = "{name} differs between two equal steps"
    fix = "draw once, in forward, and keep the mask in the closure"
    require_close(one, two, what, expected="the same values", fix=fix)


@check
def dropped_values_change(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """What training drops in one shard, another keeps: a mask is drawn anew for each."""
    probe = Probe(layer, shape, seed)
    dropped = kept = np.False_
    for shard in range(_SHARDS):
        x, w = probe.x(draw=90 + shard), probe.weights()
        trained, evaluated = (
            probe.forward(x, w, probe.context(training, shard))[0] for training in (True, False)
        )
        dropped = dropped | ((trained == 0) & (evaluated != 0))
        kept = kept | (trained != 0)
        if np.array_equal(trained, evaluated) or np.any(dropped & kept):
            return
    require(
        not np.any(dropped),
        "training drops the same values in every shard",
        expected=f"another mask for each of {_SHARDS} shards",
        got=f"{np.count_nonzero(dropped)} of {np.size(dropped)} values 0 in all of them",
        fix="draw the mask from ctx.rng(), never from a generator of your own",
    )


LAYER_RANDOM_CHECKS: tuple[Check, ...] = (
    evaluation_is_deterministic,
    randomness_comes_from_context,
    dropped_values_change,
    backward_repeats_forwards_draw,
)


def _equal(one: Array, two: Array, what: str, fix: str) -> None:
    require_close({"y": one}, {"y": two}, what, expected="the same values", fix=fix)


# All scratch memory holds NaN here: a layer that reads what it never wrote has a check of its own.


def _step(probe: Probe) -> dict[str, Array]:
    ctx = probe.context(scratch=HostileScratch())
    return probe.step(probe.x(), probe.dy(), probe.weights(), ctx).arrays()


def _output(probe: Probe, training: bool, shard: int, outside: int) -> Array:
    """Run forward while the global generators are seeded with `outside`."""
    ctx = probe.context(training, shard, HostileScratch())
    with global_seed(outside):
        return probe.forward(probe.x(), probe.weights(), ctx)[0].copy()
