"""Layouts and updates: many arrays as one vector, moved alike by every road."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from cnnkit.arrays import FlatLayout
from cnnkit.engine.update import Update
from cnnkit.optimizers import Adam, Sgd

SHAPES = {"a/W": (300, 200), "a/b": (200,), "c/W": (3, 2, 5, 5), "d/W": (90, 110)}


class Plain(Adam):
    """Adam that wants whole arrays."""

    elementwise: ClassVar[bool] = False


class Parts:
    """Stands for Gradients: parts and the vectors they are views of."""

    def __init__(self, layout, count, seed):
        rng = np.random.default_rng(seed)
        self._vectors = [rng.standard_normal(layout.size) for _ in range(count)]
        self.parts = [layout.views(vector) for vector in self._vectors]
        self.total = {p: sum(part[p].copy() for part in self.parts) for p in layout.shapes}

    def vectors(self, count):
        return self._vectors[:count]


def draw():
    rng = np.random.default_rng(9)
    return {path: rng.standard_normal(shape) for path, shape in SHAPES.items()}


def test_views_share_one_vector_and_tile_it():
    layout = FlatLayout(SHAPES)
    assert layout.size == 60_000 + 200 + 150 + 9_900
    vector = np.arange(float(layout.size))
    views = layout.views(vector)
    assert {p: v.shape for p, v in views.items()} == SHAPES
    assert np.concatenate([v.ravel() for v in views.values()]).tolist() == vector.tolist()
    views["a/b"][0] = -1
    assert vector[60_000] == -1


def test_packing_copies_and_casts():
    weights = draw()
    vector = FlatLayout(SHAPES).pack(weights, np.float32)
    assert vector.dtype == np.float32
    back = FlatLayout(SHAPES).views(vector)
    assert all(np.array_equal(back[p], w.astype(np.float32)) for p, w in weights.items())
    vector[:] = 0
    assert weights["a/W"].any()


def test_small_arrays_come_first_and_equal_ones_keep_their_order():
    arrays = {"x": np.zeros(5), "y": np.zeros(2), "z": np.zeros((5, 1)), "w": np.zeros(())}
    assert list(FlatLayout.by_size(arrays).shapes) == ["w", "y", "x", "z"]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(
    "optimizer",
    [Sgd(lr=1), Sgd(lr=1, momentum=0.9, nesterov=True, weight_decay=0.1), Adam(), Plain()],
    ids=["sgd", "nesterov", "adam", "whole"],
)
def test_every_road_gives_what_the_optimizer_gives_alone(optimizer, count):
    """Three steps, on summed gradients, array by array: to the last bit."""
    alone = draw()
    state = optimizer.init_state(alone)
    layout = FlatLayout.by_size(alone)
    update = Update(optimizer, layout, draw())
    for step in range(3):
        gradients = Parts(layout, count, seed=step)
        optimizer.update(alone, gradients.total, state, 0.1, step)
        update.apply(gradients.parts, gradients, 0.1, step)
    for path, w in alone.items():
        assert np.array_equal(update.weights[path], w), path
        for slot, arrays in state.items():
            assert np.array_equal(update.state[slot][path], arrays[path]), (slot, path)


def test_it_goes_on_from_a_given_state():
    optimizer, layout = Sgd(lr=1, momentum=0.5), FlatLayout.by_size(draw())
    one, gradients = Update(optimizer, layout, draw()), Parts(layout, 1, 0)
    one.apply([{p: g.copy() for p, g in gradients.parts[0].items()}], gradients, 0.1, 0)
    two = Update(optimizer, layout, one.weights, one.state)
    for update in (one, two):
        again = Parts(layout, 1, 1)
        update.apply(again.parts, again, 0.1, 1)
    assert all(np.array_equal(one.weights[p], two.weights[p]) for p in SHAPES)


def test_initial_weights_are_copied_not_kept():
    weights = draw()
    before = {path: w.copy() for path, w in weights.items()}
    layout = FlatLayout.by_size(weights)
    update, gradients = Update(Sgd(lr=1), layout, weights), Parts(layout, 1, 0)
    update.apply(gradients.parts, gradients, 0.1, 0)
    assert all(np.array_equal(weights[p], before[p]) for p in SHAPES)
    assert not np.array_equal(update.weights["a/b"], before["a/b"])
