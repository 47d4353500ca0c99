"""Checks that a batch may be cut and laid out anyhow, and two threads may run a layer at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Layer
from cnnkit.testing.check import Kit, require
from cnnkit.testing.probe import Probe, Step
from cnnkit.testing.tools import couples_batch, require_close

kit = Kit("layer")

_AXES = "keep axis 0 for samples: reduce over axes 1, 2, ... or declare couples_batch = True"
_SUM = "add gradients up over the batch, never average: the engine divides by the batch size"
_STRIDES = "use x.reshape(...) and x.shape, never x.data, x.strides or ravel(order='K')"
_CLOSURE = "keep what backward needs in local variables, not on self, the class or the module"
_INTERRUPTIONS = 100


@kit.check
def dx_is_shaped_like_x(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """backward returns dx of x's own shape."""
    probe = Probe(layer, shape, seed)
    step = probe.step(probe.x(4), probe.dy(4), probe.weights(), probe.context())
    require(
        step.dx.shape == (4, *shape),
        "dx is not shaped like x",
        expected=str((4, *shape)),
        got=str(step.dx.shape),
        fix="undo in backward what forward did to the shape: dx.reshape(x.shape)",
    )


@kit.check
def batch_of_one(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """One sample works, and keeps its batch axis."""
    for training in (True, False):
        probe = Probe(layer, shape, seed)
        step = probe.step(probe.x(1), probe.dy(1), probe.weights(), probe.context(training))
        for what, array, wanted in (("y", step.y, probe.dy(1)), ("dx", step.dx, probe.x(1))):
            require(
                array.shape == wanted.shape,
                f"{what} has another shape for a batch of one",
                expected=str(wanted.shape),
                got=str(array.shape),
                fix="never squeeze(); the last batch of an epoch may hold one sample",
            )


@kit.check
def batch_equals_singles(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A batch gives what its samples give one by one: what a gradient check cannot see."""
    probe = Probe(layer, shape, seed)
    for training in _comparable_modes(probe):
        what = "{name} of a batch is not the stack of its samples' {name}"
        _cut_equals_whole(probe, [1, 1, 1], training, what, _AXES, {"y", "dx"})


@kit.check
def samples_do_not_meet(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Another last sample leaves y and dx of the others as they were, whatever is random."""
    probe = Probe(layer, shape, seed)
    x, dy = probe.x(), probe.dy()
    one = probe.step(x, dy, probe.weights(), probe.context())
    last = np.concatenate([x[:-1], x[-1:] + 1]), np.concatenate([dy[:-1], dy[-1:] + 1])
    two = probe.step(*last, probe.weights(), probe.context())
    if not couples_batch(probe.layer):
        before, after = ({"y": step.y[:-1], "dx": step.dx[:-1]} for step in (one, two))
        what = "{name} of a sample changes with another sample of the batch"
        require_close(before, after, what, expected="the same values", fix=_AXES)


@kit.check
def shards_equal_batch(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Shards of a batch give its outputs, and gradients that add up to its gradients."""
    probe = Probe(layer, shape, seed)
    for training in _comparable_modes(probe):
        what = "{name} of the shards is not {name} of the whole batch"
        _cut_equals_whole(probe, [2, 3], training, what, _SUM)


@kit.check
def batch_of_33(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A batch of 33 works, and in evaluation gives what its first 8 and the other 25 give."""
    probe = Probe(layer, shape, seed)
    probe.step(probe.x(33), probe.dy(33), probe.weights(), probe.context())
    what = "{name} of a batch of 33 is not that of its first 8 samples and the other 25"
    _cut_equals_whole(probe, [8, 25], False, what, "treat every sample alike, however many")


def _comparable_modes(probe: Probe) -> list[bool]:
    """Return the values of `training` in which samples do not depend on each other."""
    alone = not couples_batch(probe.layer) and not probe.is_random()
    return [True, False] if alone else [False]


def _cut_equals_whole(
    probe: Probe,
    sizes: list[int],
    training: bool,
    what: str,
    fix: str,
    only: set[str] | None = None,
) -> None:
    ends = np.cumsum(sizes)
    x, dy = probe.x(int(ends[-1])), probe.dy(int(ends[-1]))
    steps = [
        probe.step(x[end - n : end], dy[end - n : end], probe.weights(), probe.context(training))
        for end, n in zip(ends, sizes, strict=True)
    ]
    whole = probe.step(x, dy, probe.weights(), probe.context(training)).arrays()
    joined = _joined(steps).arrays()
    for name in only or joined:
        pair = {name: joined[name]}, {name: whole[name]}
        require_close(*pair, what, expected="equal", fix=fix)


def _joined(steps: list[Step]) -> Step:
    grads: dict[str, Array] = {}
    for step in steps:
        for path, grad in step.grads.items():
            grads[path] = grads[path] + grad if path in grads else grad
    y, dx = (np.concatenate([getattr(step, name) for step in steps]) for name in ("y", "dx"))
    return Step(y, dx, grads)


@kit.check
def non_contiguous_input(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """x may have any strides: a layer before may hand over a view."""
    probe = Probe(layer, shape, seed)
    wanted = probe.step(probe.x(), probe.dy(), probe.weights(), probe.context()).arrays()
    for view in _views(probe.x()):
        got = probe.step(view, probe.dy(), probe.weights(), probe.context()).arrays()
        what = "{name} changes where x is a view that is not contiguous"
        require_close(wanted, got, what, expected="the same values", fix=_STRIDES)


@kit.check
def non_contiguous_dy(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """dy may have any strides: the layer after may hand back a view."""
    probe = Probe(layer, shape, seed)
    wanted = probe.step(probe.x(), probe.dy(), probe.weights(), probe.context()).arrays()
    for view in _views(probe.dy()):
        got = probe.step(probe.x(), view, probe.weights(), probe.context()).arrays()
        what = "{name} changes where dy is a view that is not contiguous"
        require_close(wanted, got, what, expected="the same values", fix=_STRIDES)


def _views(array: Array) -> list[Array]:
    """Return equal arrays that are not C-contiguous: spaced out, and in Fortran order."""
    wide = np.repeat(array, 2, axis=-1)
    return [wide[..., ::2], np.asfortranarray(array)]


@kit.check
def two_forwards_then_backwards(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Two forwards before their backwards do not disturb each other, in either order."""
    probe = Probe(layer, shape, seed)
    ctx, w = probe.context(), probe.weights()
    inputs = [(probe.x(draw=draw), probe.dy(draw=draw + 1)) for draw in (10, 20)]
    alone = [probe.step(x, dy, w, ctx) for x, dy in inputs]
    for order in ((0, 1), (1, 0)):
        forwards = [probe.forward(x, w, ctx) for x, _ in inputs]
        for i in order:
            y, back = forwards[i]
            both = Step(y, *probe.backward(back, inputs[i][1]))
            what = "{name} changes when another forward comes between forward and backward"
            _equal(alone[i], both, what, _CLOSURE)


@kit.check
def two_threads_at_once(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A whole step of another thread fits between any two lines without being noticed."""
    probe = Probe(layer, shape, seed)
    ctx, w = probe.context(), probe.weights()
    x, dy, other_x, other_dy = probe.x(), probe.dy(), probe.x(draw=30), probe.dy(draw=31)
    alone = probe.step(x, dy, w, ctx)
    package = type(probe.layer).__module__.partition(".")[0]

    def intrude() -> None:
        probe.step(other_x, other_dy, w, ctx)

    both = _interrupted(lambda: probe.step(x, dy, w, ctx), intrude, package)
    what = "{name} changes when another thread runs the layer at the same time"
    _equal(alone, both, what, _CLOSURE)


def _equal(wanted: Step, got: Step, what: str, fix: str) -> None:
    require_close(wanted.arrays(), got.arrays(), what, expected="the same values", fix=fix)


def _interrupted(run: Callable[[], Step], intrude: Callable[[], None], package: str) -> Step:
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
