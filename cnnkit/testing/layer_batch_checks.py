"""Checks that a batch means its samples, however it is cut."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close
from cnnkit.testing.components import couples_batch
from cnnkit.testing.failure import require
from cnnkit.testing.probe import Probe, Step

_AXES = "keep axis 0 for samples: reduce over axes 1, 2, ... or declare couples_batch = True"
_SUM = "add gradients up over the batch, never average: the engine divides by the batch size"


@check
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


@check
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


@check
def batch_equals_singles(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A batch gives what its samples give one by one: what a gradient check cannot see."""
    probe = Probe(layer, shape, seed)
    for training in _comparable_modes(probe):
        what = "{name} of a batch is not the stack of its samples' {name}"
        _cut_equals_whole(probe, [1, 1, 1], training, what, _AXES, {"y", "dx"})


@check
def shards_equal_batch(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Shards of a batch give its outputs, and gradients that add up to its gradients."""
    probe = Probe(layer, shape, seed)
    for training in _comparable_modes(probe):
        what = "{name} of the shards is not {name} of the whole batch"
        _cut_equals_whole(probe, [2, 3], training, what, _SUM)


@check
def batch_of_33(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """A batch of 33 works, and in evaluation gives what its first 8 and the other 25 give."""
    probe = Probe(layer, shape, seed)
    probe.step(probe.x(33), probe.dy(33), probe.weights(), probe.context())
    what = "{name} of a batch of 33 is not that of its first 8 samples and the other 25"
    _cut_equals_whole(probe, [8, 25], False, what, "treat every sample alike, however many")


@check
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


LAYER_BATCH_CHECKS: tuple[Check, ...] = (
    dx_is_shaped_like_x,
    batch_of_one,
    batch_equals_singles,
    samples_do_not_meet,
    shards_equal_batch,
    batch_of_33,
)


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
