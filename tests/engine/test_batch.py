"""Batches: how they are cut, and what each shard is told."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.arrays import FRESH, default_shard
from cnnkit.base import Split, Transform
from cnnkit.engine.step import Batch
from cnnkit.losses import MeanSquaredError
from cnnkit.transforms import Scale


class Jitter(Transform):
    """Adds the same random number to all images of a shard."""

    type: str = "jitter"
    random = True

    def apply(self, x, rng, scratch):
        return x + rng.random()


def batch(rows=7, shard=3, transforms=(), dtype="float64", key=(0, 0, 0), images=None):
    if images is None:
        images = np.arange(20.0).reshape(20, 1, 1, 1)
    split = Split(images, np.arange(20) % 2)
    return Batch(split, np.arange(rows)[::-1] * 2, key, shard, transforms, dtype)


@pytest.mark.parametrize(
    ("size", "shard"),
    [(1, 1), (2, 2), (15, 15), (16, 8), (32, 16), (50, 25), (64, 32), (65, 32), (1000, 32)],
)
def test_shard_size(size, shard):
    assert default_shard(size) == shard


@pytest.mark.parametrize(("rows", "shards"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_shards_cover_the_rows_in_their_order(rows, shards):
    whole = batch(rows)
    assert len(whole) == shards
    seen = [whole.input(shard, FRESH).ravel().tolist() for shard in range(shards)]
    assert [x for part in seen for x in part] == [2 * row for row in reversed(range(rows))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_are_scaled_and_cast_to_the_networks_dtype(dtype):
    images = np.arange(0, 200, 10, np.uint8).reshape(20, 1, 1, 1)
    x = batch(transforms=[Scale()], dtype=dtype, images=images).input(0, FRESH)
    assert x.dtype == dtype
    assert x.ravel().tolist() == pytest.approx([120 / 255 - 0.5, 100 / 255 - 0.5, 80 / 255 - 0.5])
    assert images[3].item() == 30


def test_random_transforms_depend_on_key_and_shard_alone():
    def drawn(shard=0, key=(0, 0, 0)):
        whole = batch(transforms=[Jitter()], key=key)
        return float((whole.input(shard, FRESH) - batch().input(shard, FRESH)).mean())

    assert drawn() == drawn()
    others = [drawn(1), drawn(2), *(drawn(key=key) for key in [(1, 0, 0), (0, 1, 0), (0, 0, 1)])]
    assert len({round(value, 12) for value in [drawn(), *others]}) == 6


def test_what_the_layers_of_a_shard_are_told():
    ctx = batch(key=(4, 5, 6)).context(2, FRESH)
    assert (ctx.training, ctx.wants_dx, ctx.key, ctx.path) == (True, False, (4, 5, 6, 2), "")
    assert batch().context(2, FRESH, wants_dx=True).wants_dx


def test_losses_are_sums_and_slopes_are_of_the_batchs_mean():
    whole = batch(rows=7, shard=4)
    y = np.array([[1.0], [1.0], [3.0]])  # the last three rows: 4, 2, 0; all of label 0
    slope = whole.loss_gradient(1, y, MeanSquaredError())
    assert whole.losses == [0.0, 1 + 1 + 9]
    np.testing.assert_allclose(slope, 2 * y / 7, rtol=1e-15)
