"""Checks that a layer is a function: of its arrays and its context, and of nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Arena, Array, Scratch, Shape, flatten
from cnnkit.base import Layer
from cnnkit.testing.check import Kit, require
from cnnkit.testing.manners import add_manners
from cnnkit.testing.probe import Probe, Step
from cnnkit.testing.tools import CLEAN, HostileScratch, global_seed, require_close, require_same

kit = Kit("layer")

_SHARDS = 50
_COPY = "compute into a new array or ctx.scratch.empty(...), never `{0} *= ...` or out={0}"


def _use(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Call every method, in training and in evaluation, on ordinary inputs and on zeros."""
    probe = Probe(layer, shape, seed)
    layer.macs(shape)
    x, dy = probe.x(dtype=np.float32), probe.dy(dtype=np.float32)
    for training in (True, False):
        for value in (x, x * 0):
            probe.step(value, dy, probe.weights(np.float32), probe.context(training))


add_manners(kit, _use)


@kit.check
def evaluation_is_deterministic(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Outside training the output depends on x and the weights alone."""
    probe = Probe(layer, shape, seed)
    one, two = (_output(probe, False, shard, shard) for shard in (0, 1))
    fix = "be random only where ctx.training is true; in evaluation use the expected value"
    _same_output(one, two, "evaluation gives two outputs for one input", fix)


@kit.check
def randomness_comes_from_context(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """In training the same context gives the same output: a run can be replayed."""
    probe = Probe(layer, shape, seed)
    one, two = (_output(probe, True, 0, seed) for seed in (1, 2))
    fix = "draw from ctx.rng(), a new generator in every forward; no state, no clock, no np.random"
    _same_output(one, two, "the same context gives two outputs for one input", fix)


@kit.check
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


@kit.check
def backward_repeats_forwards_draw(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward uses what forward drew: zero where forward dropped, never a second draw."""
    probe = Probe(layer, shape, seed)
    one, two = (_spoilt_step(probe) for _ in range(2))
    what = "{name} differs between two equal steps"
    fix = "draw once, in forward, and keep the mask in the closure"
    require_close(one, two, what, expected="the same values", fix=fix)


def _same_output(one: Array, two: Array, what: str, fix: str) -> None:
    require_close({"y": one}, {"y": two}, what, expected="the same values", fix=fix)


# All scratch memory holds NaN here: a layer that reads what it never wrote has a check of its own.


def _spoilt_step(probe: Probe) -> dict[str, Array]:
    ctx = probe.context(scratch=HostileScratch())
    return probe.step(probe.x(), probe.dy(), probe.weights(), ctx).arrays()


def _output(probe: Probe, training: bool, shard: int, outside: int) -> Array:
    """Run forward while the global generators are seeded with `outside`."""
    ctx = probe.context(training, shard, HostileScratch())
    with global_seed(outside):
        return probe.forward(probe.x(), probe.weights(), ctx)[0].copy()


@kit.check
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


@kit.check
def scratch_can_be_reused(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A worker's arena gives the same results, shard after shard, as fresh memory."""
    probe, arena = Probe(layer, shape, seed), Arena()
    for draw in (50, 60, 70):
        arena.reset()
        what = "{name} of a later shard changes where scratch memory is reused"
        fix = "ask ctx.scratch for arrays in every call; keep none from the shard before"
        _equal(_step(probe, CLEAN, draw), _step(probe, arena, draw), what, fix)


def _step(probe: Probe, scratch: Scratch, draw: int) -> Step:
    x, dy = probe.x(draw=draw), probe.dy(draw=draw + 1)
    return probe.step(x, dy, probe.weights(), probe.context(scratch=scratch))


def _equal(wanted: Step, got: Step, what: str, fix: str) -> None:
    require_close(wanted.arrays(), got.arrays(), what, expected="the same values", fix=fix)


@kit.check
def input_unmodified(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """forward and backward leave x as it was: residuals and the layer before still need it."""
    for training in (True, False):
        probe = Probe(layer, shape, seed)
        x, before = probe.x(), probe.x()
        _, back = probe.forward(x, probe.weights(), probe.context(training))
        require_same(before, x, "forward changes its input", fix=_COPY.format("x"))
        probe.backward(back, probe.dy())
        require_same(before, x, "backward changes the input x", fix=_COPY.format("x"))


@kit.check
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


@kit.check
def dy_unmodified(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward leaves dy as it was: a residual hands the same dy to two branches."""
    for training in (True, False):
        probe = Probe(layer, shape, seed)
        dy = probe.dy()
        probe.step(probe.x(), dy, probe.weights(), probe.context(training))
        require_same(probe.dy(), dy, "backward changes dy", fix=_COPY.format("dy"))


@kit.check
def output_unmodified(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward leaves the output as it was: metrics still read the last one."""
    probe = Probe(layer, shape, seed)
    y, back = probe.forward(probe.x(), probe.weights(), probe.context())
    before = y.copy()
    probe.backward(back, probe.dy())
    require_same(before, y, "backward changes the output y", fix=_COPY.format("y"))


@kit.check
def float32_stays_float32(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """float32 in gives float32 out: y, dx and every gradient."""
    _keeps_dtype(layer, shape, seed, np.float32)


@kit.check
def float64_stays_float64(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """float64 in gives float64 out, so that gradients can be checked closely."""
    _keeps_dtype(layer, shape, seed, np.float64)


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
