"""Batch normalisation, with the ReLU behind it: the shards of a batch meet between two calls."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from cnnkit.arrays import Array, Weights
from cnnkit.base import Backward, Context, Layer, forward_chain
from cnnkit.kernels.norm import combined
from cnnkit.layers import BatchNorm
from cnnkit_native.library import LIB, address

_SHORT = 8
"""Numbers of a channel in one image, from which on its loop is worth a call."""


class FusedNorm:
    """A batch_norm and the ReLU behind it, if there is one.

    Args:
        layer: the batch_norm.
        steps: names and layers: its own, and the ReLU's.
    """

    def __init__(self, layer: BatchNorm, steps: Sequence[tuple[str, Layer]]) -> None:
        self.names = tuple(name for name, _ in steps)
        self.steps = tuple(steps)
        self.layer, self._relu = layer, len(steps) > 1

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        name, layer = self.names[0], self.layer
        own, mine = w[name], ctx.child(name)
        sizes = len(x), x.shape[1], prod(x.shape[2:])
        fits = all(array.shape == (sizes[1],) for array in own.values())
        if x.dtype != np.float32 or not fits or not len(x) or sizes[2] < _SHORT:
            return forward_chain(self.steps, x, w, ctx._replace(fuse=None))
        x = np.ascontiguousarray(x)
        count, mean, variance = 0, own["mean"], own["variance"]
        learns = ctx.training and layer.trainable
        if learns:
            count, mean, squares = combined(mine.gather(_moments(x, sizes)))
            variance = squares / count
            layer.renew(own, count, mean, squares, mine)
        scale = 1 / np.sqrt(variance + layer.eps)
        center, scale = mean.astype(np.float32), scale.astype(np.float32)
        factor, shift = own["gamma"] * scale, np.ascontiguousarray(own["beta"], np.float32)
        factor = np.ascontiguousarray(factor, np.float32)
        y = ctx.scratch.empty(x.shape, np.float32)
        spans = *sizes, address(x), address(center)
        LIB.cnnkit_normalise(*spans, address(factor), address(shift), self._relu, address(y))

        def backward(dy: Array) -> tuple[Array, Weights]:
            dy = np.ascontiguousarray(dy, np.float32)
            mask = address(y) if self._relu else None
            given = *sizes, address(x), address(center), address(dy), mask
            products, sums = np.empty(sizes[1]), np.empty(sizes[1])
            LIB.cnnkit_normal_sums(*given, address(products), address(sums))
            dgamma, dbeta = (products * scale).astype(np.float32), sums.astype(np.float32)
            slope = rest = np.zeros(sizes[1], np.float32)
            if learns and ctx.wants_dx:
                parts = zip(*mine.gather((dgamma, dbeta)), strict=True)
                totals = [np.add.reduce(part) / np.float32(count) for part in parts]
                slope, rest = (totals[0] * scale).astype(np.float32), totals[1].astype(np.float32)
            grads = {name: {"gamma": dgamma, "beta": dbeta}}
            if not ctx.wants_dx:
                return dy, grads
            dx = ctx.scratch.empty(x.shape, np.float32)
            moves = address(factor), address(slope), address(rest)
            LIB.cnnkit_normal_back(*given, *moves, address(dx))
            return dx, grads

        return y, backward


def _moments(x: Array, sizes: tuple[int, int, int]) -> tuple[int, Array, Array]:
    mean, squares = np.empty(sizes[1]), np.empty(sizes[1])
    LIB.cnnkit_moments(*sizes, address(x), address(mean), address(squares))
    return sizes[0] * sizes[2], mean, squares
