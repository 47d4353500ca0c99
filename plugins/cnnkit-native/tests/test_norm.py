"""Batch normalisation between programs: against the layer in double precision, and in training."""

import numpy as np
import pytest
from cnnkit_native.backend import Native
from cnnkit_native.norm import FusedNorm

from cnnkit.arrays import flatten
from cnnkit.base import Context, forward_chain
from cnnkit.engine.trainer import Trainer
from cnnkit.layers import BatchNorm, Conv, Gelu, HardSwish, LeakyRelu, Relu, Sigmoid, Silu
from cnnkit.losses import CrossEntropy
from cnnkit.model import Model
from cnnkit.optimizers import Sgd
from cnnkit.workers import Threads

CONV = {"type": "conv", "filters": 6, "kernel": 3, "padding": "same", "bias": "none"}
DEEP = [CONV, "batch_norm", "hard_swish", {"type": "depthwise_separable", "filters": 6,
        "between": ["batch_norm", "relu"]}, "squeeze_excite",
        {"type": "pool", "kind": "max", "size": 2},
        {"type": "residual", "body": [CONV, "batch_norm", "relu", CONV, "batch_norm"]}, "relu",
        "global_pool", {"type": "dense", "units": 9}, "batch_norm", "relu",
        {"type": "softmax", "units": 3}]  # fmt: skip


def weights_of(channels, rng):
    return {
        "gamma": rng.uniform(0.5, 2, channels),
        "beta": rng.standard_normal(channels),
        "mean": rng.standard_normal(channels),
        "variance": rng.uniform(0.5, 2, channels),
    }


FORMS = [None, Relu(), LeakyRelu(slope=0.2), HardSwish(), Silu(), Gelu(), Gelu(form="tanh")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 8), (3, 5, 7), (4, 16, 16), (2, 1, 131), (17, 9, 9)])
@pytest.mark.parametrize("images", [1, 5])
def test_it_is_the_layer(isa, images, shape, training, trainable, form):
    rng = np.random.default_rng(0)
    layer = BatchNorm(eps=1e-3, trainable=trainable)
    steps = [("0_batch_norm", layer), *([("1", form)] if form else [])]
    x = rng.standard_normal((images, *shape)) * 3 + rng.standard_normal((shape[0], 1, 1)) * 20
    dy, w = rng.standard_normal(x.shape), {"0_batch_norm": weights_of(shape[0], rng)}
    ctx = Context(training=training)
    y, back = forward_chain(steps, x, w, ctx)
    small = {"0_batch_norm": {n: a.astype(np.float32) for n, a in w["0_batch_norm"].items()}}
    mine, my_back = FusedNorm(layer, steps).forward(x.astype(np.float32), small, ctx)
    assert mine.dtype == np.float32
    np.testing.assert_allclose(mine, y, atol=2e-5)
    dx, grads = back(dy)
    my_dx, my_grads = my_back(dy.astype(np.float32))
    np.testing.assert_allclose(my_dx, dx, atol=3e-5)
    for path, grad in flatten(grads).items():
        np.testing.assert_allclose(flatten(my_grads)[path], grad, rtol=2e-4, atol=2e-4)


def test_values_that_are_not_finite_pass(isa):
    layer, rng = BatchNorm(), np.random.default_rng(0)
    w = {"n": {n: a.astype(np.float32) for n, a in weights_of(2, rng).items()}}
    steps = [("n", layer), ("r", Relu())]
    for value in (np.nan, np.inf):
        x = rng.standard_normal((2, 2, 4, 5)).astype(np.float32)
        x[1, 0, 2, 3] = value
        with np.errstate(all="ignore"):
            y, _ = forward_chain(steps, x, w, Context())
            mine, back = FusedNorm(layer, steps).forward(x, w, Context())
            dy = np.where(x > 0, value, 1).astype(np.float32)
            dx, _ = back(dy)
        assert np.array_equal(np.isfinite(mine), np.isfinite(y))
        assert not np.isfinite(dx[dy == value]).any()


def trained(backend, threads, batch):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((48, 2, 12, 12)).astype(np.float32)
    labels = rng.integers(0, 3, 48)
    model = Model.build(DEEP, (2, 12, 12), backend=backend)
    with Threads(threads) as own:
        optimizer = Sgd(lr=0.05, momentum=0.9, weight_decay=1e-3)
        trainer = Trainer(model, CrossEntropy(), optimizer, epochs=2, batch=batch, threads=own)
        epochs = trainer.fit(x, labels)
        return model, [e.train_loss for e in epochs], model.predict(x, threads=own)


@pytest.mark.parametrize("batch", [7, 16, 48])
def test_a_deep_network_trains_as_on_numpy(isa, batch):
    model, losses, found = trained("numpy", 1, batch)
    mine, my_losses, my_found = trained("native", 2, batch)
    assert my_losses == pytest.approx(losses, rel=1e-4)
    for path, w in flatten(model.weights).items():
        np.testing.assert_allclose(flatten(mine.weights)[path], w, atol=2e-4, err_msg=path)
    np.testing.assert_allclose(my_found, found, atol=1e-4)


def test_same_bits_for_any_threads(isa):
    one, *others = (trained("native", threads, 16) for threads in (1, 2, 3))
    for other in others:
        assert other[1] == one[1]
        for path, w in flatten(one[0].weights).items():
            assert np.array_equal(flatten(other[0].weights)[path], w), path


def test_the_relu_behind_it_is_taken_in():
    layers = [
        Conv(filters=2, kernel=3),
        BatchNorm(),
        Relu(),
        Relu(),
        BatchNorm(),
        Conv(filters=2, kernel=3),
    ]
    steps = [(f"{i}", layer) for i, layer in enumerate(layers)]
    found = Native().fuse(steps, np.dtype(np.float32), True)
    assert [step.names for _, step in found] == [("0",), ("1", "2"), ("3",), ("4",), ("5",)]
    assert [type(step) is FusedNorm for _, step in found] == [False, True, False, True, False]


def test_forms_known_by_what_goes_in_are_taken_in():
    for form in [*FORMS[1:], Sigmoid()]:
        found = Native().fuse([("0", BatchNorm()), ("1", form)], np.dtype(np.float32), True)
        apart = isinstance(form, Sigmoid)
        assert [step.names for _, step in found] == ([("0",), ("1",)] if apart else [("0", "1")])


def test_a_subclass_is_left_alone():
    class Mine(BatchNorm):
        pass

    steps = [("0", Mine()), ("1", Relu())]
    found = Native().fuse(steps, np.dtype(np.float32), True)
    assert [name for name, _ in found] == ["0", ""]
