"""Layouts and updates: many arrays as one vector, moved alike by every road."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pytest

from cnnkit.arrays import FlatLayout
from cnnkit.base import Optimizer
from cnnkit.engine.update import Rule, Update
from cnnkit.optimizers import Adam, AdamW, Sgd

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


# --- what waits for the gradients of all weights --------------------------------------------------


def clipped(total, optimizer):
    """Clip by the definition, in one vector."""
    flat = np.concatenate([total[path].ravel() for path in SHAPES])
    if optimizer.clip_value:
        flat = np.minimum(np.maximum(flat, -optimizer.clip_value), optimizer.clip_value)
    if optimizer.clip:
        flat = flat * min(1, optimizer.clip / np.sqrt((flat**2).sum()))
    return FlatLayout(SHAPES).views(flat)


class Decays(Optimizer):
    """Somebody's optimizer, with an option called weight_decay and whole arrays."""

    type: Literal["decays"] = "decays"
    weight_decay: float = 0.5

    def update(self, weights, grads, state, lr, step):
        for path, g in grads.items():
            weights[path] -= lr * (g + self.weight_decay * weights[path])


WAITING = {
    "norm": Sgd(lr=1, momentum=0.9, clip=3.0),
    "value": Adam(clip_value=0.2),
    "both": Sgd(lr=1, clip=5.0, clip_value=0.3),
    "longer than any": Sgd(lr=1, clip=1e6),
    "whole arrays": Plain(clip=2.0),
    "somebody's": Decays(lr=1, clip=1.0),
}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("optimizer", WAITING.values(), ids=WAITING)
def test_clipping_sees_the_whole_gradient(optimizer, count):
    alone, layout = draw(), FlatLayout.by_size(draw())
    state = optimizer.init_state(alone)
    update = Update(optimizer, layout, draw())
    for step in range(3):
        gradients = Parts(layout, count, seed=step)
        optimizer.update(alone, clipped(gradients.total, optimizer), state, 0.1, step)
        update.apply(gradients.parts, gradients, 0.1, step)
    for path, w in alone.items():
        np.testing.assert_allclose(update.weights[path], w, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "optimizer",
    [
        Sgd(lr=1, momentum=0.9, weight_decay=0.1),
        Adam(weight_decay=0.1),
        AdamW(),
        Plain(weight_decay=0.1),
        Decays(lr=1),
    ],
    ids=lambda one: type(one).__name__,
)
def test_weights_move_by_the_rules_of_their_layers(optimizer, count):
    rules = {"a/b": Rule(weight_decay=0.0), "d/W": Rule(weight_decay=0.0), "c/W": Rule(0.5, 0.3)}
    alone, layout = draw(), FlatLayout.by_size(draw(), rules)
    assert list(layout.shapes) == ["a/W", "a/b", "d/W", "c/W"]
    state = optimizer.init_state(alone)
    update = Update(optimizer, layout, draw(), rules=rules)
    for step in range(3):
        gradients = Parts(layout, count, seed=step)
        for path, g in gradients.total.items():
            rule = rules.get(path, Rule())
            rule.on(optimizer).update(alone, {path: g.copy()}, state, 0.1 * rule.lr_scale, step)
        update.apply(gradients.parts, gradients, 0.1, step)
    for path, w in alone.items():
        np.testing.assert_array_equal(update.weights[path], w, err_msg=path)
        for slot, arrays in state.items():
            np.testing.assert_array_equal(update.state[slot][path], arrays[path])


@pytest.mark.parametrize("optimizer", [Sgd(lr=1, accumulate=3), Plain(accumulate=3)])
def test_what_was_added_counts_once(optimizer):
    alone, layout = draw(), FlatLayout.by_size(draw())
    state = optimizer.init_state(alone)
    update = Update(optimizer, layout, draw())
    for step in range(2):
        groups = [Parts(layout, count, seed=10 * step + count) for count in (2, 1, 2)]
        total = {path: sum(one.total[path] for one in groups) for path in SHAPES}
        for one in groups[:2]:
            update.add(one.parts, one)
        update.apply(groups[2].parts, groups[2], 0.1, step)
        optimizer.update(alone, total, state, 0.1, step)
    for path, w in alone.items():
        np.testing.assert_allclose(update.weights[path], w, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("place", ["a/b", "a/W"])
def test_a_gradient_that_is_not_finite_moves_nothing(place):
    layout = FlatLayout.by_size(draw())
    update, gradients = Update(Sgd(lr=1, clip=1.0), layout, draw()), Parts(layout, 2, 0)
    gradients.parts[1][place].flat[-1] = np.nan
    with pytest.raises(FloatingPointError):
        update.apply(gradients.parts, gradients, 0.1, 0)
    assert all(np.array_equal(update.weights[path], w) for path, w in draw().items())


def test_a_norm_beyond_float32():
    weights = {"W": np.zeros(3, np.float32)}
    layout = FlatLayout.by_size(weights)
    update = Update(Sgd(lr=1, clip=5.0), layout, weights)
    update.apply([{"W": np.array([3e25, 0, -4e25], np.float32)}], None, 1.0, 0)
    np.testing.assert_allclose(update.weights["W"], [-3, 0, 4], rtol=1e-6)
