"""Checks that a layer copes with scratch memory that was used before."""

from __future__ import annotations

from cnnkit.arrays import Arena, Scratch, Shape
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close
from cnnkit.testing.probe import Probe, Step
from cnnkit.testing.scratch import CLEAN, HostileScratch


@check
def scratch_is_not_assumed_clean(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Scratch arrays hold anything at first, and temp arrays are soon overwritten."""
    probe = Probe(layer, shape, seed)
    wanted = _step(probe, CLEAN, 40)
    hostile = HostileScratch()
    x, dy, ctx = probe.x(draw=40), probe.dy(draw=41), probe.context(scratch=hostile)
    y, back = probe.forward(x, probe.weights(), ctx)
    hostile.spoil()
    dx, grads = probe.backward(back, dy)
    hostile.spoil()
    what = "{name} depends on what a scratch array held before"
    fix = "fill it before reading it; return arrays from scratch.empty, never from scratch.temp"
    _equal(wanted, Step(y, dx, grads), what, fix)


@check
def scratch_can_be_reused(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A worker's arena gives the same results, shard after shard, as fresh memory."""
    probe, arena = Probe(layer, shape, seed), Arena()
    for draw in (50, 60, 70):
        arena.reset()
        what = "{name} of a later shard changes where scratch memory is reused"
        fix = "ask ctx.scratch for arrays in every call; keep none from the shard before"
        _equal(_step(probe, CLEAN, draw), _step(probe, arena, draw), what, fix)


LAYER_SCRATCH_CHECKS: tuple[Check, ...] = (scratch_is_not_assumed_clean, scratch_can_be_reused)


def _step(probe: Probe, scratch: Scratch, draw: int) -> Step:
    x, dy = probe.x(draw=draw), probe.dy(draw=draw + 1)
    return probe.step(x, dy, probe.weights(), probe.context(scratch=scratch))


def _equal(wanted: Step, got: Step, what: str, fix: str) -> None:
    require_close(wanted.arrays(), got.arrays(), what, expected="the same values", fix=fix)
