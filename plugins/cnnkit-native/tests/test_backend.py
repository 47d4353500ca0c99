"""The backend: what it fuses and what it leaves alone, losses, optimizers, and whole runs."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from cnnkit_native import Native
from cnnkit_native.library import NativeError, variant
from cnnkit_native.step import Fused

import cnnkit
from cnnkit.arrays import flatten
from cnnkit.base import Context, Layer
from cnnkit.engine.trainer import Trainer
from cnnkit.layers import Conv, Dense, Dropout, Pool, Relu, Sequential, Softmax
from cnnkit.losses import CrossEntropy, MeanSquaredError
from cnnkit.model import Model
from cnnkit.optimizers import Adam, Sgd
from cnnkit.testing import check_backend
from cnnkit.workers import Threads

FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
SPEC = Path(__file__).parent.parent / "specs" / "native.toml"
LAYERS = [
    {"type": "conv", "filters": 6, "kernel": 5, "padding": "same"}, "relu", "pool",
    {"type": "dropout", "rate": 0.3}, {"type": "dense", "units": 20}, "relu",
    {"type": "softmax", "units": 4},
]  # fmt: skip
X = np.random.default_rng(5).standard_normal((96, 1, 12, 12)).astype(np.float32)
Y = np.random.default_rng(6).integers(0, 4, 96)


class Leaky(Relu):
    """A subclass that does otherwise."""

    def forward(self, x, w, ctx):
        return np.where(x > 0, x, x * 0.1).astype(x.dtype), lambda dy: (dy, {})


def names(steps: list[Layer], dtype=FLOAT, training=True):
    pairs = [(f"{i}_{layer.type}", layer) for i, layer in enumerate(steps)]
    return [name or step.names for name, step in Native().fuse(pairs, dtype, training)]


def test_runs_of_known_layers_become_one_step():
    steps = [Conv(filters=2, kernel=3), Relu(), Dropout(), Dense(units=3), Softmax()]
    assert names(steps) == [("0_conv", "1_relu"), "2_dropout", ("3_dense", "4_softmax")]


def test_unknown_layers_split_a_run_and_nothing_else():
    chain = Sequential(layers=[Relu(), Leaky()])
    steps = [Relu(), Leaky(), Relu(), chain, Pool(size=16), Relu()]
    run = ("2_relu",)
    assert names(steps) == [("0_relu",), "1_relu", run, "3_sequential", "4_pool", ("5_relu",)]


def test_double_precision_stays_numpys():
    assert names([Relu(), Dense(units=3)], DOUBLE) == ["0_relu", "1_dense"]
    loss = CrossEntropy().fuse(Softmax())
    assert Native().fuse_loss(loss, DOUBLE) is loss
    sgd = Sgd(lr=0.1)
    assert Native().fuse_optimizer(sgd, DOUBLE) is sgd


def test_weights_of_another_kind_run_as_they_are():
    """As the trial step of a double-precision network does, or a subclass of a model."""
    model = Model.build(LAYERS, (1, 12, 12), dtype="float64")
    step = Fused(model.network.steps[:3])
    w = {"0_conv": model.weights["0_conv"]}
    y, back = step.forward(X.astype(np.float64), w, Context())
    assert y.dtype == back(y)[0].dtype == np.float64


def test_describes_the_instruction_set():
    assert Native().describe() == {"instruction set": variant()}


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("classes", [2, 10, 33])
def test_cross_entropy(isa, classes, smoothing):
    rng = np.random.default_rng(classes)
    z = (rng.standard_normal((7, classes)) * 30).astype(np.float32)
    labels = rng.integers(0, classes, 7)
    plain = CrossEntropy(label_smoothing=smoothing).fuse(Softmax())
    losses, slope = plain.forward(z.astype(np.float64), labels)
    mine, my_slope = Native().fuse_loss(plain, FLOAT).forward(z, labels)
    assert np.allclose(mine, losses, rtol=2e-6, atol=2e-6)
    assert np.allclose(my_slope(), slope(), rtol=0, atol=5e-7)
    assert mine.dtype == my_slope().dtype == np.float32


def test_cross_entropy_of_values_that_are_not_finite():
    loss = Native().fuse_loss(CrossEntropy().fuse(Softmax()), FLOAT)
    z = np.array([[0, np.nan], [np.inf, 0], [-np.inf, 0], [300, -300]], np.float32)
    losses, _ = loss.forward(z, np.array([0, 0, 1, 0]))
    assert np.isnan(losses[:2]).all()
    assert losses[2:].tolist() == [0, 0]


def test_labels_are_looked_at():
    loss = Native().fuse_loss(CrossEntropy().fuse(Softmax()), FLOAT)
    z = np.zeros((2, 3), np.float32)
    for labels in ([0, 3], [-1, 0]):
        with pytest.raises(IndexError, match="not one of 3 classes"):
            loss.forward(z, np.array(labels))
    with pytest.raises(NativeError, match="2 rows need as many labels"):
        loss.forward(z, np.array([1]))


def test_other_losses_and_optimizers_are_left_alone():
    loss = MeanSquaredError()
    assert Native().fuse_loss(loss, FLOAT) is loss

    class Slow(Sgd):
        pass

    slow = Slow(lr=0.1)
    assert Native().fuse_optimizer(slow, FLOAT) is slow


@pytest.mark.parametrize(
    "optimizer",
    [Sgd(lr=0.1), Sgd(lr=0.1, weight_decay=0.01), Sgd(lr=0.1, momentum=0.9),
     Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01), Adam(),
     Adam(lr=0.01, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1)],
)  # fmt: skip
def test_optimizers(isa, optimizer):
    rng = np.random.default_rng(1)
    weights = {"a": rng.standard_normal((3, 7)), "b": rng.standard_normal(50)}
    mine = {path: w.astype(np.float32) for path, w in weights.items()}
    native = Native().fuse_optimizer(optimizer, FLOAT)
    assert (native.schedule, native.lr) == (optimizer.schedule, optimizer.lr)
    state, my_state = optimizer.init_state(weights), native.init_state(mine)
    for step in range(4):
        grads = {path: rng.standard_normal(w.shape) for path, w in weights.items()}
        my_grads = {path: g.astype(np.float32) for path, g in grads.items()}
        optimizer.update(weights, grads, state, 0.05, step)
        native.update(mine, my_grads, my_state, 0.05, step)
    for path, w in weights.items():
        assert np.allclose(mine[path], w, rtol=1e-5, atol=1e-6)
    for path, array in flatten(state).items():
        assert np.allclose(flatten(my_state)[path], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", [Sgd(lr=0.1), Sgd(lr=0.1, momentum=0.9), Adam()])
@pytest.mark.parametrize("parts", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 2047, 2048, 5000])
def test_gradients_of_shards_are_added_up_in_their_order(isa, optimizer, parts, size):
    rng, native = np.random.default_rng(0), Native().fuse_optimizer(optimizer, FLOAT)
    grads = [rng.standard_normal(size).astype(np.float32) for _ in range(parts)]
    total = grads[0].copy()
    for g in grads[1:]:
        total += g
    moved = []
    for given in (grads, total):
        w = {"w": np.ones(size, np.float32)}
        native.update(w, {"w": given}, native.init_state(w), 0.1, 0)
        moved.append(w["w"])
    assert native.adds
    assert np.array_equal(*moved)


@pytest.mark.parametrize("optimizer", [Sgd(lr=0.1, momentum=0.9), Adam(betas=(0.9, 0.98))])
def test_what_no_gradient_feeds_ends_at_zero(isa, optimizer):
    native = Native().fuse_optimizer(optimizer, FLOAT)
    w = {"w": np.ones(40, np.float32)}
    state = native.init_state(w)
    for step in range(4000):
        g = np.zeros(40, np.float32)
        g[: 20 if step else 40] = 1e-3
        native.update(w, {"w": g}, state, 0.01, step)
    assert all((arrays["w"][20:] == 0).all() for arrays in state.values())
    assert all((arrays["w"][:20] != 0).all() for arrays in state.values())


def test_an_update_of_other_sizes_is_refused():
    sgd = Native().fuse_optimizer(Sgd(lr=0.1), FLOAT)
    for g in (np.zeros(3, np.float32), np.zeros(4)):
        with pytest.raises(NativeError, match="float32 of one size"):
            sgd.update({"a": np.zeros(4, np.float32)}, {"a": g}, {}, 0.1, 0)


def train(backend, threads, batch=32, **options):
    model = Model.build(LAYERS, (1, 12, 12), backend=backend)
    with Threads(threads) as own:
        trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.05, momentum=0.9), epochs=2, batch=batch,
                          threads=own, **options)  # fmt: skip
        epochs = trainer.fit(X, Y)
        probabilities = model.predict(X, threads=own)
    return model, epochs, probabilities


@pytest.mark.parametrize("batch", [1, 32])
def test_the_same_bits_on_any_number_of_threads(isa, batch):
    one, epochs, y = train("native", 1, batch)
    for threads in (1, 2, 4):
        other, again, z = train("native", threads, batch)
        assert [e.train_loss for e in again] == [e.train_loss for e in epochs]
        assert np.array_equal(y, z)
        weights = flatten(other.weights)
        assert all(np.array_equal(w, weights[path]) for path, w in flatten(one.weights).items())


def test_trains_as_numpy_does(isa):
    plain, epochs, y = train("numpy", 1)
    mine, again, z = train("native", 1)
    assert [e.train_loss for e in again] == pytest.approx([e.train_loss for e in epochs], rel=1e-5)
    assert np.allclose(y, z, atol=1e-5)
    for path, w in flatten(plain.weights).items():
        assert np.allclose(flatten(mine.weights)[path], w, atol=1e-5)


def test_a_spec_finds_it_through_its_entry_point():
    assert entry_points(group="cnnkit")["native"].value == "cnnkit_native"
    spec = cnnkit.load_spec(SPEC)
    assert spec.train.backend == Native()


def test_keeps_to_the_kit(isa):
    check_backend(Native())
