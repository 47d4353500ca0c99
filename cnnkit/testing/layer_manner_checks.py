"""Checks of a layer's manners: what it does besides computing."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Shape
from cnnkit.base import Layer
from cnnkit.testing.check import Check
from cnnkit.testing.manners import manner_checks
from cnnkit.testing.probe import Probe


def _use(layer: Layer, shape: Shape, seed: int = 0) -> None:
    """Call every method, in training and in evaluation, on ordinary inputs and on zeros."""
    probe = Probe(layer, shape, seed)
    layer.macs(shape)
    layer.weight_count(shape)
    x, dy = probe.x(dtype=np.float32), probe.dy(dtype=np.float32)
    for training in (True, False):
        for value in (x, x * 0):
            probe.step(value, dy, probe.weights(np.float32), probe.context(training))


LAYER_MANNER_CHECKS: tuple[Check, ...] = manner_checks(_use)
