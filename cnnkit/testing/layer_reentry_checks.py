"""Checks that a layer can be in use twice at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from cnnkit.arrays import Shape
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close
from cnnkit.testing.probe import Probe, Step

_CLOSURE = "keep what backward needs in local variables, not on self, the class or the module"
_INTERRUPTIONS = 100


@check
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


@check
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


LAYER_REENTRY_CHECKS: tuple[Check, ...] = (
    two_forwards_then_backwards,
    two_threads_at_once,
)


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
