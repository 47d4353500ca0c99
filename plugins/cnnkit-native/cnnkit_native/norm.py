"""Batch normalisation, with the form behind it: the shards of a batch meet between two calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from cnnkit.arrays import Array, Weights
from cnnkit.base import Backward, Context, Layer, forward_chain
from cnnkit.kernels.norm import combined
from cnnkit.layers import BatchNorm
from cnnkit_native.forms import COPY, form_of
from cnnkit_native.library import LIB, address

_SHORT = 8
"""Numbers of a channel in one image, from which on its loop is worth a call."""


class FusedNorm:
    """A batch_norm and the form behind it, such as a ReLU, if there is one.

    Args:
        layer: the batch_norm.
        steps: names and layers: its own, and the form's.
    """

    def __init__(self, layer: BatchNorm, steps: Sequence[tuple[str, Layer]]) -> None:
        self.names = tuple(name for name, _ in steps)
        self.steps = tuple(steps)
        self.layer = layer
        self._form = form_of(steps[1][1]) if len(steps) > 1 else (COPY, 0.0)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        name, layer = self.names[0], self.layer
        own, mine = w[name], ctx.child(name)
        sizes = len(x), x.shape[1], prod(x.shape[2:])
        fits = all(array.shape == (sizes[1],) for array in own.values())
        if x.dtype != np.float32 or not fits or not len(x) or sizes[2] < _SHORT:
            return forward_chain(self.steps, x, w, ctx._replace(fuse=None))
        x = np.ascontiguousarray(x)
        count, mean, variance = 0, own["mean"], own["variance"]
        if ctx.training and layer.trainable:
            count, mean, squares = combined(mine.gather(_moments(x, sizes)))
            variance = squares / count
            layer.renew(own, count, mean, squares, mine)
        scale = _single(1 / np.sqrt(variance + layer.eps))
        factor, shift = _single(own["gamma"] * scale), _single(own["beta"])
        normed = _Normed(x, sizes, _single(mean), scale, factor, shift, self._form, count)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, dgamma, dbeta = normed.back(_single(dy), mine)
            return dx, {name: {"gamma": dgamma, "beta": dbeta}}

        return normed.y(ctx), backward


@dataclass(frozen=True)
class _Normed:
    """What going back takes: y = form((x - center) * factor + shift).

    Args:
        x: (n, C, ...) without gaps; `sizes` are n, C and the numbers of a channel in one image.
        center, scale, factor, shift: mean, 1 / deviation, that times gamma, and beta; (C,).
        form: and what it does below zero as a leaky relu.
        count: numbers a channel of which mean and deviation were taken; 0 where they came from
            outside.
    """

    x: Array
    sizes: tuple[int, int, int]
    center: Array
    scale: Array
    factor: Array
    shift: Array
    form: tuple[int, float]
    count: int

    @property
    def _spans(self) -> tuple[float, ...]:
        weights = map(address, (self.x, self.center, self.factor, self.shift))
        return *self.sizes, *weights, *self.form

    def y(self, ctx: Context) -> Array:
        """Return y."""
        y = ctx.scratch.empty(self.x.shape, np.float32)
        LIB.cnnkit_normalise(*self._spans, address(y))
        return y

    def back(self, dy: Array, ctx: Context) -> tuple[Array, Array, Array]:
        """Return dx, dgamma and dbeta."""
        given = *self._spans, address(dy)
        products, sums = np.empty(self.sizes[1]), np.empty(self.sizes[1])
        LIB.cnnkit_normal_sums(*given, address(products), address(sums))
        dgamma, dbeta = _single(products * self.scale), _single(sums)
        if not ctx.wants_dx:
            return dy, dgamma, dbeta
        slope = rest = np.zeros(self.sizes[1], np.float32)
        if self.count:
            parts = zip(*ctx.gather((dgamma, dbeta)), strict=True)
            means = [np.add.reduce(part) / np.float32(self.count) for part in parts]
            slope, rest = _single(means[0] * self.scale), _single(means[1])
        dx = ctx.scratch.empty(self.x.shape, np.float32)
        LIB.cnnkit_normal_back(*given, address(slope), address(rest), address(dx))
        return dx, dgamma, dbeta


def _single(array: Array) -> Array:
    return np.ascontiguousarray(array, np.float32)


def _moments(x: Array, sizes: tuple[int, int, int]) -> tuple[int, Array, Array]:
    mean, squares = np.empty(sizes[1]), np.empty(sizes[1])
    LIB.cnnkit_moments(*sizes, address(x), address(mean), address(squares))
    return sizes[0] * sizes[2], mean, squares
