"""Shards: images on their way through named layers, a fixed number at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np

from cnnkit.arrays import Arena, Array, Scratch, Shape, Weights
from cnnkit.base import Context, Layer, Transform, chain_shapes, forward_chain
from cnnkit.errors import DataError
from cnnkit.pool import Pool

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
    each = itemsize * sum(map(prod, chain_shapes(layers, shape, "layers")))
    half = max(_SMALLEST, min(_LARGEST, -(-images // 2)))
    return max(1, min(half, _BYTES // each))


class Weighted(Protocol):
    """What running needs of a model besides its layers."""

    @property
    def weights(self) -> Weights: ...

    @property
    def transforms(self) -> Sequence[Transform]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def input_shape(self) -> Shape: ...


def check_images(model: Weighted, images: Array) -> None:
    """Demand numbers, and the shape that the model's transforms bring to its input's.

    Raises:
        DataError: where they are otherwise.
    """
    if images.dtype.kind not in "buif":
        raise DataError(f"images are of dtype {images.dtype}; the model takes uint8 or floats")
    shape = images.shape[1:]
    for transform in model.transforms:
        shape = transform.output_shape(shape)
    if shape != model.input_shape:
        axis = "; for one image pass x[None], for grey ones without channels x[:, None]"
        raise DataError(
            f"images are of shape {images.shape[1:]}, which the transforms make {shape}; "
            f"the model takes {model.input_shape}{axis * (images.ndim == len(model.input_shape))}"
        )


def run_shards(
    steps: Sequence[tuple[str, Layer]],
    model: Weighted,
    images: Array,
    pool: Pool,
) -> Array:
    """Return the output of the model's named layers for all `images`, shard by shard on `pool`."""
    weights, transforms, dtype = model.weights, model.transforms, model.dtype
    layers = [layer for _, layer in steps]
    if not len(images):
        return np.empty((0, *chain_shapes(layers, model.input_shape, "layers")[-1]), dtype)
    shard = predict_shard(len(images), layers, model.input_shape, dtype.itemsize)
    outputs: list[Array] = [np.empty(0)] * -(-len(images) // shard)

    def job(number: int, arena: Arena) -> None:
        arena.reset()
        x = prepare(images[number * shard : (number + 1) * shard], transforms, dtype, None, arena)
        y, _ = forward_chain(steps, x, weights, Context(scratch=arena, wants_dx=False))
        outputs[number] = y.copy()

    pool.run(len(outputs), job)
    return np.concatenate(outputs) if len(outputs) != 1 else outputs[0]


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
            x = transform.apply(x, rng, arena)
    return x if x.dtype == dtype else x.astype(dtype)
