"""Checks that a batch means its samples, however it is cut or laid out in memory."""

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
_STRIDES = "use x.reshape(...) and x.shape, never x.data, x.strides or ravel(order='K')"


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
def non_contiguous_input(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """x may have any strides: a layer before may hand over a view."""
    probe = Probe(layer, shape, seed)
    wanted = probe.step(probe.x(), probe.dy(), probe.weights(), probe.context()).arrays()
    for view in _views(probe.x()):
        got = probe.step(view, probe.dy(), probe.weights(), probe.context()).arrays()
        what = "{name} changes where x is a view that is not contiguous"
        require_close(wanted, got, what, expected="the same values", fix=_STRIDES)


@check
def non_contiguous_dy(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """dy may have any strides: the layer after may hand back a view."""
    probe = Probe(layer, shape, seed)
    wanted = probe.step(probe.x(), probe.dy(), probe.weights(), probe.context()).arrays()
    for view in _views(probe.dy()):
        got = probe.step(probe.x(), view, probe.weights(), probe.context()).arrays()
        what = "{name} changes where dy is a view that is not contiguous"
        require_close(wanted, got, what, expected="the same values", fix=_STRIDES)


LAYER_BATCH_CHECKS: tuple[Check, ...] = (
    dx_is_shaped_like_x,
    batch_of_one,
    batch_equals_singles,
    shards_equal_batch,
    non_contiguous_input,
    non_contiguous_dy,
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


def _views(array: Array) -> list[Array]:
    """Return equal arrays that are not C-contiguous: spaced out, and in Fortran order."""
    wide = np.repeat(array, 2, axis=-1)
    return [wide[..., ::2], np.asfortranarray(array)]
