"""Prediction: images taken through a network, shard by shard."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from cnnkit.arrays import Arena, Array, Scratch, Shape, Weights
from cnnkit.base import Context, Layer, Transform, chain_shapes, forward_chain
from cnnkit.base.backend import Fusing
from cnnkit.base.contract import checked_images
from cnnkit.folding import fold, merged
from cnnkit.memory import needs
from cnnkit.workers import Threads

_LARGEST, _SMALLEST = 64, 16
_BYTES = 2**26


def predict_shard(images: int, layers: Sequence[Layer], shape: Shape, itemsize: int) -> int:
    """Return the images per shard in prediction: half of them, for two threads, from 16 to 64,
    but no more than 64 MiB of activations.

    It never depends on the thread count, so neither do results. Threads wait for one another at
    every NumPy call, and larger shards make fewer calls: two threads took 67 us per image at 64,
    75 at 16 and 63 at 128, where memory would double.

    Args:
        images: how many there are.
        layers, shape, itemsize: of the network, its input, and one number.
    """
    if images < 2:
        return 1  # the shapes would take a tenth of the time of one image
    each = itemsize * (prod(shape) + sum(need.kept for need in needs(layers, shape)))
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
    """

    def __init__(
        self,
        steps: Sequence[tuple[str, Layer]],
        shape: Shape,
        weights: Weights,
        transforms: Sequence[Transform],
        dtype: np.dtype[Any],
        fuse: Fusing | None = None,
    ) -> None:
        self._shape, self._weights = shape, weights
        self._transforms, self._dtype, self._fuse = transforms, dtype, fuse
        self._steps, self._folds = fold(steps, shape)
        self._layers = [layer for _, layer in self._steps]

    def __call__(self, images: Array, threads: Threads) -> Array:
        """Return what the last layer gives for all `images`, (N, *its shape)."""
        if not len(images):
            last = chain_shapes(self._layers, self._shape, "layers")[-1]
            return np.empty((0, *last), self._dtype)
        shard = predict_shard(len(images), self._layers, self._shape, self._dtype.itemsize)
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
        ctx = Context(scratch=arena, wants_dx=False, fuse=self._fuse)
        return forward_chain(self._steps, x, weights, ctx)[0].copy()


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
        if not (transform.random and rng is None):
            shape = transform.output_shape(x.shape[1:])
            x = checked_images(transform, x, transform.apply(x, rng, arena), shape)
    return x if x.dtype == dtype else x.astype(dtype)
