"""Checks that arrays may lie in memory as they like."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Layer
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close
from cnnkit.testing.probe import Probe

_STRIDES = "use x.reshape(...) and x.shape, never x.data, x.strides or ravel(order='K')"


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


LAYER_LAYOUT_CHECKS: tuple[Check, ...] = (non_contiguous_input, non_contiguous_dy)


def _views(array: Array) -> list[Array]:
    """Return equal arrays that are not C-contiguous: spaced out, and in Fortran order."""
    wide = np.repeat(array, 2, axis=-1)
    return [wide[..., ::2], np.asfortranarray(array)]
