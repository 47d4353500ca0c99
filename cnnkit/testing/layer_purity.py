"""Checks that a layer is a function: of its arrays and its context, and of nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnkit.arrays import Arena, Array, Shape, flatten
from cnnkit.base import Layer
from cnnkit.testing.check import Kit, require, require_equal
from cnnkit.testing.manners import manners
from cnnkit.testing.probe import Probe, Step
from cnnkit.testing.tools import HostileScratch, global_seed, require_close, require_same

_SHARDS = 50
_COPY = "compute into a new array or ctx.scratch.empty(...), never `{0} *= ...` or out={0}"
_DTYPE = (
    "make constants and new arrays of x.dtype: x.dtype.type(0.5), np.zeros(shape, x.dtype), "
    "rng.random(shape, x.dtype)"
)


def _use(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Call every method, in training and in evaluation, on ordinary inputs and on zeros."""
    probe = Probe(layer, shape, seed)
    layer.macs(shape)
    x = probe.x(dtype=np.float32)
    for training in (True, False):
        for value in (x, x * 0):
            probe.step(value, ctx=probe.context(training))


kit = Kit("layer", manners(_use), case=Probe)


@kit.check("be random only where ctx.training is true; in evaluation use the expected value")
def evaluation_is_deterministic(probe: Probe) -> None:
    """Outside training the output depends on x and the weights alone."""
    one, two = (_output(probe, False, shard, shard) for shard in (0, 1))
    require_close(one, two, "evaluation gives two outputs for one input")


@kit.check(
    "draw from ctx.rng(), a new generator in every forward; no state, no clock, no np.random"
)
def randomness_comes_from_context(probe: Probe) -> None:
    """In training the same context gives the same output: a run can be replayed."""
    one, two = (_output(probe, True, 0, outside) for outside in (1, 2))
    require_close(one, two, "the same context gives two outputs for one input")


def _output(probe: Probe, training: bool, shard: int, outside: int) -> dict[str, Array]:
    """Run forward while the global generators are seeded with `outside`.

    Scratch memory holds NaN: a layer that reads what it never wrote has a check of its own.
    """
    ctx = probe.context(training, shard, HostileScratch())
    with global_seed(outside):
        return {"y": probe.forward(ctx=ctx)[0].copy()}


@kit.check("draw the mask from ctx.rng(), never from a generator of your own")
def dropped_values_change(probe: Probe) -> None:
    """What training drops in one shard, another keeps: a mask is drawn anew for each."""
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
    )


@kit.check("draw once, in forward, and keep the mask in the closure")
def backward_repeats_forwards_draw(probe: Probe) -> None:
    """backward uses what forward drew: zero where forward dropped, never a second draw."""
    one, two = (probe.step(ctx=probe.context(scratch=HostileScratch())) for _ in range(2))
    require_close(one.arrays(), two.arrays(), "{name} differs between two equal steps")


@kit.check("fill it before reading it; return arrays from scratch.empty, never from scratch.temp")
def scratch_is_not_assumed_clean(probe: Probe) -> None:
    """Scratch arrays hold anything at first, and temp arrays are soon overwritten."""
    x, dy, hostile = probe.x(draw=40), probe.dy(draw=41), HostileScratch()
    wanted = probe.step(probe.x(draw=40), probe.dy(draw=41)).arrays()
    y, back = probe.forward(x, ctx=probe.context(scratch=hostile))
    hostile.spoil()
    got = Step(y, *probe.backward(back, dy)).arrays()
    hostile.spoil()
    require_close(wanted, got, "{name} depends on what a scratch array held before")


@kit.check("ask ctx.scratch for arrays in every call; keep none from the shard before")
def scratch_can_be_reused(probe: Probe) -> None:
    """A worker's arena gives the same results, shard after shard, as fresh memory."""
    arena = Arena()
    for draw in (50, 60, 70):
        arena.reset()
        fresh, reused = (
            probe.step(probe.x(draw=draw), probe.dy(draw=draw + 1), ctx=ctx).arrays()
            for ctx in (probe.context(), probe.context(scratch=arena))
        )
        what = "{name} of a later shard changes where scratch memory is reused"
        require_close(fresh, reused, what)


@kit.check(_COPY.format("x"))
def input_unmodified(probe: Probe) -> None:
    """forward and backward leave x as it was: residuals and the layer before still need it."""
    for training in (True, False):
        x = probe.x()
        _, back = probe.forward(x, ctx=probe.context(training))
        require_same(probe.x(), x, "forward changes its input")
        probe.backward(back, probe.dy())
        require_same(probe.x(), x, "backward changes the input x")


@kit.check(_COPY.format("w[name]"))
def weights_unmodified(probe: Probe) -> None:
    """forward and backward leave the weights as they were: the optimizer moves them."""
    for training in (True, False):
        w = probe.weights()
        probe.step(w=w, ctx=probe.context(training))
        for path, before in flatten(probe.weights()).items():
            after: Array = flatten(w).get(path, np.empty(0))
            require_same(before, after, f"the layer changes its weight {path}")


@kit.check(_COPY.format("dy"))
def dy_unmodified(probe: Probe) -> None:
    """backward leaves dy as it was: a residual hands the same dy to two branches."""
    for training in (True, False):
        dy = probe.dy()
        probe.step(dy=dy, ctx=probe.context(training))
        require_same(probe.dy(), dy, "backward changes dy")


@kit.check(_COPY.format("y"))
def output_unmodified(probe: Probe) -> None:
    """backward leaves the output as it was: metrics still read the last one."""
    y, back = probe.forward()
    before = y.copy()
    probe.backward(back, probe.dy())
    require_same(before, y, "backward changes the output y")


@kit.check(_DTYPE)
def float32_stays_float32(probe: Probe) -> None:
    """float32 in gives float32 out: y, dx and every gradient."""
    _keeps_dtype(probe, np.dtype(np.float32))


@kit.check(_DTYPE)
def float64_stays_float64(probe: Probe) -> None:
    """float64 in gives float64 out, so that gradients can be checked closely."""
    _keeps_dtype(probe, np.dtype(np.float64))


def _keeps_dtype(probe: Probe, dtype: np.dtype[Any]) -> None:
    for training in (True, False):
        step = probe.step(probe.x(dtype=dtype), ctx=probe.context(training))
        for name, array in step.arrays().items():
            require_equal(dtype, array.dtype, f"{name} does not keep the input's dtype")
