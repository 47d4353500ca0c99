"""The size of shards in prediction."""

from __future__ import annotations

import pytest

from cnnkit.layers import Conv, Relu
from cnnkit.shards import predict_shard

SMALL = [Conv(filters=2, kernel=1), Relu()]


@pytest.mark.parametrize(
    ("images", "shard"), [(0, 1), (1, 1), (2, 16), (32, 16), (33, 17), (100, 50), (10_000, 64)]
)
def test_half_of_the_images_within_bounds(images, shard):
    assert predict_shard(images, SMALL, (1, 4, 4), 4) == shard


@pytest.mark.parametrize(("side", "shard"), [(512, 12), (4096, 1)])
def test_large_maps_are_taken_a_few_at_a_time(side, shard):
    """(1 + 2 + 2) maps of float32: 5 MiB each time of 512x512, so 12 fit into 64 MiB."""
    assert predict_shard(1000, SMALL, (1, side, side), 4) == shard
