"""SGD and Adam against plain loops over scalars, and against numbers PyTorch gave."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from cnnkit.kernels import updates
from cnnkit.optimizers import Adam, Sgd

STEPS = 6
OPTIMIZERS = [
    Sgd(lr=0.1),
    Sgd(lr=0.1, weight_decay=0.05),
    Sgd(lr=0.1, momentum=0.9),
    Sgd(lr=0.1, momentum=0.9, weight_decay=0.05),
    Sgd(lr=0.1, momentum=0.9, nesterov=True),
    Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05),
    Adam(),
    Adam(lr=0.1, betas=(0.8, 0.95), eps=1e-3),
    Adam(lr=0.1, weight_decay=0.05),
]


def rate(lr, step):
    """A learning rate that a schedule might give: it changes while the velocity lives on."""
    return lr / (1 + step)


def gradient(w, step):
    """Any smooth function of the weights will do; this one keeps them apart."""
    return np.sin((step + 2) * w) + 0.3


def slow_sgd(o, w, gradients):
    """One weight, as in the docstring."""
    v = 0.0
    for step, g in enumerate(gradients):
        g = g(w) + o.weight_decay * w
        v = o.momentum * v + g
        w -= rate(o.lr, step) * (g + o.momentum * v if o.nesterov else v)
    return w


def slow_adam(o, w, gradients):
    """One weight, in the order of algorithm 2 of Loshchilov and Hutter (2019)."""
    m = v = 0.0
    beta1, beta2 = o.betas
    for step, gradient_at in enumerate(gradients):
        g, lr, t = gradient_at(w), rate(o.lr, step), step + 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        w -= lr * o.weight_decay * w
        w -= lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + o.eps)
    return w


def start(dtype=np.float64):
    rng = np.random.default_rng(0)
    return {
        "a/W": rng.normal(0, 1, (3, 2, 4)).astype(dtype),
        "b": rng.normal(0, 1, 5).astype(dtype),
    }


def train(optimizer, weights, steps=STEPS):
    state = optimizer.init_state(weights)
    for step in range(steps):
        grads = {path: gradient(w, step) for path, w in weights.items()}
        optimizer.update(weights, grads, state, rate(optimizer.lr, step), step)
    return state


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("chunk", [7, 1 << 16])
def test_against_a_loop_over_scalars(optimizer, chunk, monkeypatch):
    monkeypatch.setattr(updates, "CHUNK", chunk)
    slow = slow_sgd if optimizer.type == "sgd" else slow_adam
    weights, before = start(), start()
    train(optimizer, weights)
    for path, w in before.items():
        gradients = [lambda x, step=step: float(gradient(x, step)) for step in range(STEPS)]
        expected = [slow(optimizer, float(x), gradients) for x in w.ravel()]
        np.testing.assert_allclose(weights[path].ravel(), expected, rtol=0, atol=1e-12)
        assert np.abs(weights[path] - w).min() > 1e-5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_float32_stays_float32_even_for_a_float64_step_size(optimizer):
    weights = start(np.float32)
    same = start(np.float32)
    state, state64 = optimizer.init_state(weights), optimizer.init_state(same)
    grads = [{path: gradient(w, 0) for path, w in weights.items()} for _ in range(2)]
    optimizer.update(weights, grads[0], state, 0.1, 0)
    optimizer.update(same, grads[1], state64, np.asarray(0.1), 0)
    for path in weights:
        assert weights[path].dtype == np.float32
        assert np.array_equal(weights[path], same[path])
    assert {s.dtype for slot in state.values() for s in slot.values()} <= {np.dtype(np.float32)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_slices_give_the_same_bits_as_whole_arrays(optimizer):
    """What `elementwise = True` promises to the engine."""
    assert optimizer.elementwise
    whole, parts = ({"W": np.linspace(-1, 1, 1001, dtype=np.float32)} for _ in range(2))
    states = [optimizer.init_state(w) for w in (whole, parts)]
    for step in range(3):
        g = gradient(whole["W"], step)
        for cut in (slice(0, 333), slice(333, 1000), slice(1000, 1001)):
            piece = {slot: {"W": kept["W"][cut]} for slot, kept in states[1].items()}
            optimizer.update({"W": parts["W"][cut]}, {"W": g[cut].copy()}, piece, 0.1, step)
        optimizer.update(whole, {"W": g}, states[0], 0.1, step)
    assert np.array_equal(whole["W"], parts["W"])
    for slot, kept in states[0].items():
        assert np.array_equal(kept["W"], states[1][slot]["W"])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_only_arrays_with_a_gradient_move_and_they_stay_where_they_are(optimizer):
    weights, before = start(), start()
    w, state = weights["b"], optimizer.init_state(weights)
    optimizer.update(weights, {"b": np.ones(5)}, state, 0.1, 0)
    assert weights["b"] is w
    assert not np.array_equal(w, before["b"])
    assert np.array_equal(weights["a/W"], before["a/W"])


@pytest.mark.parametrize("optimizer", [Sgd(lr=0.1), Adam()], ids=lambda o: o.type)
def test_strided_weights_are_refused_rather_than_left_behind(optimizer):
    weights = {"W": np.ones((4, 4)).T[:, ::2]}
    state = optimizer.init_state(weights)
    with pytest.raises(ValueError, match="Unable to avoid creating a copy while reshaping"):
        optimizer.update(weights, {"W": np.ones((4, 2))}, state, 0.1, 0)


def test_state_is_shaped_like_the_weights():
    weights = start()
    assert Sgd(lr=1).init_state(weights) == {}
    for optimizer, slots in ((Sgd(lr=1, momentum=0.5), {"velocity"}), (Adam(), {"mean", "square"})):
        state = optimizer.init_state(weights)
        assert set(state) == slots
        for kept in state.values():
            assert {p: s.shape for p, s in kept.items()} == {"a/W": (3, 2, 4), "b": (5,)}


def test_adam_gives_a_first_step_of_about_the_learning_rate():
    weights = {"W": np.zeros(3)}
    optimizer = Adam()
    optimizer.update(weights, {"W": np.array([1e-3, 5, -7e4])}, optimizer.init_state(weights), 1, 0)
    np.testing.assert_allclose(weights["W"], [-1, -1, 1], rtol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [Sgd(lr=0.1, momentum=0.9), Adam(betas=(0.9, 0.98))])
def test_what_no_gradient_feeds_ends_at_zero(optimizer, dtype):
    """It neither stays among the smallest of floats, where arithmetic is slow, nor moves a weight;
    what is fed goes on as ever."""
    w = {"w": np.ones(8, dtype)}
    state, fed = optimizer.init_state(w), optimizer.init_state(w)
    alone = {"w": np.ones(8, dtype)}
    for step in range(40_000 if dtype == "float64" else 8_000):
        g = np.full(8, 1e-3 if step % 50 == 0 else 0, dtype)
        optimizer.update(alone, {"w": g.copy()}, fed, 0.01, step)
        g[:4] *= step == 0
        optimizer.update(w, {"w": g}, state, 0.01, step)
    assert all((arrays["w"][:4] == 0).all() for arrays in state.values())
    assert all((arrays["w"][4:] == fed[slot]["w"][4:]).all() for slot, arrays in state.items())
    assert (w["w"][4:] == alone["w"][4:]).all()


def test_a_mean_square_stays_as_long_as_its_mean():
    """Zero under a mean that is left would make the step leap."""
    one = Adam(betas=(0.99, 0.7), eps=1e-30)
    w = {"w": np.ones(1, np.float32)}
    state = one.init_state(w)
    for step in range(100):
        before = w["w"].copy()
        one.update(w, {"w": np.array([0 if step else 1e-10], np.float32)}, state, 1e-9, step)
        assert abs(w["w"] - before) < 0.2  # a leap is one of a thousand
    assert state["mean"]["w"] > 1e-13
    assert 0 < state["square"]["w"] < 1e-30
