"""Prediction: images taken through a network, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from cnnkit.arrays import FRESH, Arena, Array, Scratch, Shape, Weights, locked
from cnnkit.base import Context, Layer, Transform, chain_shapes, forward_chain
from cnnkit.base.backend import Fusing
from cnnkit.base.contract import checked_fit, checked_images
from cnnkit.base.layer import Tap
from cnnkit.folding import fold, merged
from cnnkit.memory import needs
from cnnkit.workers import Threads

_LARGEST, _SMALLEST = 64, 16
_BYTES = 2**26
_FITTED = 256
"""Images that a transform is shown at a time."""


def predict_shard(images: int, each: int) -> int:
    """Return the images per shard in prediction: half of them, for two threads, from 16 to 64,
    but no more than 64 MiB of activations.

    It never depends on the thread count, so neither do results. Threads wait for one another at
    every NumPy call, and larger shards make fewer calls: two threads took 30 us per image at 64
    and 43 at 16, one thread 43 and 47; at 128 memory would double.

    Args:
        images: how many there are.
        each: bytes of activations per image.
    """
    half = max(_SMALLEST, min(_LARGEST, -(-images // 2)))
    return max(1, min(half, _BYTES // each))


class Predictor:
    """Takes images through named layers, shard by shard.

    Args:
        steps: the layers.
        shape: of one image at the first of them.
        weights: the weight tree, read in every call.
        transforms: applied before them.
        dtype: of weights and activations.
        fuse: turns the layers into a backend's steps.
        average: transforms over whose views what comes out is averaged.
        tap: looks at the layers at work; mostly None.
    """

    def __init__(
        self,
        steps: Sequence[tuple[str, Layer]],
        shape: Shape,
        weights: Weights,
        transforms: Sequence[Transform],
        dtype: np.dtype[Any],
        fuse: Fusing | None = None,
        average: Sequence[Transform] = (),
        tap: Tap | None = None,
    ) -> None:
        self._shape, self._weights = shape, weights
        self._transforms, self._dtype, self._fuse, self._tap = transforms, dtype, fuse, tap
        # whoever looks at layers sees those of the spec
        self._steps, self._folds = fold(steps, shape) if tap is None else (steps, [])
        self._layers, self._average = [layer for _, layer in self._steps], average

    @cached_property
    def _bytes(self) -> int:
        """Bytes of activations per image: to add them up takes as long as to predict one."""
        numbers = prod(self._shape) + sum(n.kept for n in needs(self._layers, self._shape))
        return self._dtype.itemsize * numbers

    def __call__(self, images: Array, threads: Threads) -> Array:
        """Return what the last layer gives for all `images`, (N, *its shape)."""
        if not len(images):
            last = chain_shapes(self._layers, self._shape, "layers")[-1]
            return np.empty((0, *last), self._dtype)
        shard = predict_shard(len(images), self._bytes) if len(images) > 1 else 1
        outputs: list[Array] = [np.empty(0)] * -(-len(images) // shard)
        weights = merged(self._weights, self._folds)  # anew each time: training moves them

        def job(number: int, arena: Arena) -> None:
            part = images[number * shard : (number + 1) * shard]
            outputs[number] = self._one(part, weights, arena)

        threads.run(len(outputs), job)
        return np.concatenate(outputs) if len(outputs) != 1 else outputs[0]

    def _one(self, images: Array, weights: Weights, arena: Arena) -> Array:
        arena.reset()
        x = prepare(images, self._transforms, self._dtype, None, arena)
        if not self._average:
            return self._run(x, weights, arena).copy()
        x, views = x.copy(), 0  # as the arena is used anew for each view
        total = np.zeros(())
        for view in _views(x, self._average):
            arena.reset()
            y = self._run(np.ascontiguousarray(view), weights, arena)
            total, views = total + y, views + 1
        return total / total.dtype.type(views)

    def _run(self, x: Array, weights: Weights, arena: Arena) -> Array:
        ctx = Context(scratch=arena, wants_dx=False, tap=self._tap, fuse=self._fuse)
        return forward_chain(self._steps, x, weights, ctx)[0]


def _views(x: Array, transforms: Sequence[Transform]) -> list[Array]:
    """Return the forms of x that come of each choice among the transforms' views."""
    views = [x]
    for transform in transforms:
        views = [one for view in views for one in transform.views(view)]
    return views


def prepare(
    x: Array,
    transforms: Sequence[Transform],
    dtype: np.dtype[Any],
    rng: np.random.Generator | None,
    arena: Scratch,
) -> Array:
    """Apply the transforms to a shard of images and bring them to the network's dtype."""
    if dtype == np.float64:
        x = x.astype(np.float64)
    for transform in transforms:
        if rng is not None or transform.always or not transform.random:
            shape = transform.output_shape(x.shape[1:])
            x = checked_images(transform, x, transform.apply(locked(x), rng, arena), shape)
    return x if x.dtype == dtype else x.astype(dtype)


def fit_transforms(
    transforms: Sequence[Transform], images: Array, dtype: np.dtype[Any]
) -> tuple[Transform, ...]:
    """Return the transforms, each with what it takes from the training images filled in."""
    fitted: list[Transform] = []
    for transform in transforms:
        fitted.append(checked_fit(transform, transform.fit(_shards(images, fitted[:], dtype))))
    return tuple(fitted)


def _shards(images: Array, transforms: list[Transform], dtype: np.dtype[Any]) -> Iterator[Array]:
    """Yield the images as the next transform meets them in prediction."""
    for start in range(0, len(images), _FITTED):
        yield prepare(images[start : start + _FITTED], transforms, dtype, None, FRESH)
