"""Checks that a batch may be cut and laid out anyhow, and two threads may run a layer at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any

import numpy as np

from cnnkit.arrays import Array
from cnnkit.testing.check import Kit, require_equal
from cnnkit.testing.probe import Probe, Step
from cnnkit.testing.tools import couples_batch, require_close

kit = Kit("layer", case=Probe)

_AXES = "keep axis 0 for samples: reduce over axes 1, 2, ... or declare couples_batch = True"
_STRIDES = "use x.reshape(...) and x.shape, never x.data, x.strides or ravel(order='K')"
_CLOSURE = "keep what backward needs in local variables, not on self, the class or the module"
_INTERRUPTIONS = 100


@kit.check("undo in backward what forward did to the shape: dx.reshape(x.shape)")
def dx_is_shaped_like_x(probe: Probe) -> None:
    """backward returns dx of x's own shape."""
    step = probe.step(probe.x(4))
    require_equal((4, *probe.shape), step.dx.shape, "dx is not shaped like x")


@kit.check("never squeeze(); the last batch of an epoch may hold one sample")
def batch_of_one(probe: Probe) -> None:
    """One sample works, and keeps its batch axis."""
    for training in (True, False):
        x, dy = probe.x(1), probe.dy(1)
        step = probe.step(x, dy, ctx=probe.context(training))
        for name, wanted, got in (("y", dy, step.y), ("dx", x, step.dx)):
            require_equal(wanted.shape, got.shape, f"{name} has another shape for a batch of one")


@kit.check(_AXES)
def batch_equals_singles(probe: Probe) -> None:
    """A batch gives what its samples give one by one: what a gradient check cannot see."""
    for training in _comparable_modes(probe):
        what = "{name} of a batch is not the stack of its samples' {name}"
        _cut_equals_whole(probe, [1, 1, 1], training, what, {"y", "dx"})


@kit.check(_AXES)
def samples_do_not_meet(probe: Probe) -> None:
    """Another last sample leaves y and dx of the others as they were, whatever is random."""
    x, dy = probe.x(), probe.dy()
    one = probe.step(x, dy)
    other_x, other_dy = (np.concatenate([a[:-1], a[-1:] + 1]) for a in (x, dy))
    two = probe.step(other_x, other_dy)
    if not couples_batch(probe.layer):
        before, after = ({"y": step.y[:-1], "dx": step.dx[:-1]} for step in (one, two))
        require_close(before, after, "{name} of a sample changes with another sample of the batch")


@kit.check("add gradients up over the batch, never average: the engine divides by the batch size")
def shards_equal_batch(probe: Probe) -> None:
    """Shards of a batch give its outputs, and gradients that add up to its gradients."""
    for training in _comparable_modes(probe):
        what = "{name} of the shards is not {name} of the whole batch"
        _cut_equals_whole(probe, [2, 3], training, what)


@kit.check("treat every sample alike, however many")
def batch_of_33(probe: Probe) -> None:
    """A batch of 33 works, and in evaluation gives what its first 8 and the other 25 give."""
    probe.step(probe.x(33))
    what = "{name} of a batch of 33 is not that of its first 8 samples and the other 25"
    _cut_equals_whole(probe, [8, 25], False, what)


def _comparable_modes(probe: Probe) -> list[bool]:
    """Return the values of `training` in which samples do not depend on each other."""
    alone = not couples_batch(probe.layer) and not probe.is_random()
    return [True, False] if alone else [False]


def _cut_equals_whole(
    probe: Probe, sizes: list[int], training: bool, what: str, only: Collection[str] = ()
) -> None:
    x, dy = probe.x(sum(sizes)), probe.dy(sum(sizes))
    ctx, ends = probe.context(training), np.cumsum(sizes)
    cuts = [slice(end - n, end) for end, n in zip(ends, sizes, strict=True)]
    joined = _joined([probe.step(x[cut], dy[cut], ctx=ctx) for cut in cuts]).arrays()
    whole = probe.step(x, dy, ctx=ctx).arrays()
    for name in only or joined:
        pair = {name: joined[name]}, {name: whole[name]}
        require_close(*pair, what, expected="equal")


def _joined(steps: list[Step]) -> Step:
    grads = dict(steps[0].grads)
    for step in steps[1:]:
        grads |= {path: grads.get(path, 0) + grad for path, grad in step.grads.items()}
    y, dx = (np.concatenate([getattr(step, name) for step in steps]) for name in ("y", "dx"))
    return Step(y, dx, grads)


@kit.check(_STRIDES)
def non_contiguous_input(probe: Probe) -> None:
    """x may have any strides: a layer before may hand over a view."""
    wanted = probe.step().arrays()
    what = "{name} changes where x is a view that is not contiguous"
    for x in _views(probe.x()):
        require_close(wanted, probe.step(x).arrays(), what)


@kit.check(_STRIDES)
def non_contiguous_dy(probe: Probe) -> None:
    """dy may have any strides: the layer after may hand back a view."""
    wanted = probe.step().arrays()
    what = "{name} changes where dy is a view that is not contiguous"
    for dy in _views(probe.dy()):
        require_close(wanted, probe.step(dy=dy).arrays(), what)


def _views(array: Array) -> list[Array]:
    """Return equal arrays that are not C-contiguous: spaced out, and in Fortran order."""
    wide = np.repeat(array, 2, axis=-1)
    return [wide[..., ::2], np.asfortranarray(array)]


@kit.check(_CLOSURE)
def two_forwards_then_backwards(probe: Probe) -> None:
    """Two forwards before their backwards do not disturb each other, in either order."""
    w = probe.weights()
    inputs = [(probe.x(draw=draw), probe.dy(draw=draw + 1)) for draw in (10, 20)]
    alone = [probe.step(x, dy, w) for x, dy in inputs]
    for order in ((0, 1), (1, 0)):
        forwards = [probe.forward(x, w) for x, _ in inputs]
        for i in order:
            y, back = forwards[i]
            both = Step(y, *probe.backward(back, inputs[i][1]))
            what = "{name} changes when another forward comes between forward and backward"
            require_close(alone[i].arrays(), both.arrays(), what)


@kit.check(_CLOSURE)
def two_threads_at_once(probe: Probe) -> None:
    """A whole step of another thread fits between any two lines without being noticed."""
    w = probe.weights()
    ours, theirs = ((probe.x(draw=draw), probe.dy(draw=draw + 1), w) for draw in (1, 30))
    alone = probe.step(*ours)
    package = type(probe.layer).__module__.partition(".")[0]
    both = _interrupted(lambda: probe.step(*ours), lambda: probe.step(*theirs), package)
    what = "{name} changes when another thread runs the layer at the same time"
    require_close(alone.arrays(), both.arrays(), what)


def _interrupted(run: Callable[[], Step], intrude: Callable[[], Step], package: str) -> Step:
    """Run, with `intrude()` before every line of the package's code: threads without chance."""
    left = _INTERRUPTIONS

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        name = str(frame.f_globals.get("__name__", ""))
        if name.partition(".")[0] != package or name.startswith("cnnkit.testing."):
            return None
        if event == "line" and left > 0:
            left -= 1
            intrude()  # Python traces nothing inside a trace function
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return run()
    finally:
        sys.settrace(before)
