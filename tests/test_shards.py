"""Shards: their size in prediction, and what layers are told there."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from cnnkit.base import Context, Layer, forward_chain
from cnnkit.layers import Conv, Dense, Relu
from cnnkit.model import Model
from cnnkit.prediction import predict_shard

SMALL = [Conv(filters=2, kernel=1), Relu()]


@pytest.mark.parametrize(
    ("images", "shard"), [(2, 16), (32, 16), (33, 17), (100, 50), (10_000, 64)]
)
def test_half_of_the_images_within_bounds(images, shard):
    assert predict_shard(images, 1000) == shard


@pytest.mark.parametrize(("side", "shard"), [(512, 12), (4096, 1)])
def test_large_maps_are_taken_a_few_at_a_time(side, shard):
    """(1 + 2 + 2) maps of float32: 5 MiB each time of 512x512, so 12 fit into 64 MiB."""
    model = Model.build(SMALL, (1, side, side))
    predictor = model.predictor(model.network.steps)
    assert predict_shard(1000, predictor._bytes) == shard


class Listener(Layer):
    """Gives back whether anybody will read its dx."""

    type: Literal["listener"] = "listener"

    def forward(self, x, w, ctx):
        return np.full_like(x, ctx.wants_dx), lambda dy: (dy, {})


def test_nobody_prepares_a_backward_pass_in_prediction():
    model = Model.build([Dense(units=3), Listener()], (2,))
    assert not model.predict(np.ones((4, 2), np.float32)).any()


@pytest.mark.parametrize("training", [True, False])
def test_a_backward_pass_may_follow_whoever_wants_dx(training):
    model = Model.build([Dense(units=3), Listener()], (2,))
    context = Context(training, wants_dx=True)
    y, back = forward_chain(model.network.steps, np.ones((4, 2)), model.weights, context)
    dx, grads = back(np.ones((4, 3)))
    assert y.all()
    assert (dx.shape, list(grads)) == ((4, 2), ["0_dense"])
