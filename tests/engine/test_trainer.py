"""The trainer: its records, its order, its rate, and which weights it moves."""

from __future__ import annotations

from math import log
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnkit.arrays import flatten
from cnnkit.base import Context, Metric, Optimizer
from cnnkit.engine.order import epoch_order
from cnnkit.engine.progress import Progress
from cnnkit.errors import TrainingError
from cnnkit.examined import evaluate
from cnnkit.layers import Dense, Dropout, Relu, Sequential, Sigmoid, Softmax
from cnnkit.metrics import Accuracy, Confusion
from cnnkit.plan import make_plan
from cnnkit.runs.session import trainer_of
from cnnkit.workers import Threads

SIZES = {"train": {"epochs": 2, "batch": 4, "shuffle": "none"}}
counted: list[int] = []


class Counting(Optimizer):
    """Notes the count that it is given."""

    type: Literal["counting"] = "counting"

    def init_state(self, weights):
        return {}

    def update(self, weights, grads, state, lr, step):
        counted.append(step)
        for path, g in grads.items():
            weights[path] -= lr * g


@given(st.integers(1, 200), st.sampled_from(["epoch", "once", "none"]), st.integers(0, 2**63 - 1))
def test_an_order_is_a_permutation_that_depends_on_its_arguments_alone(samples, shuffle, seed):
    order = epoch_order(samples, shuffle, seed, 3)
    assert sorted(order.tolist()) == list(range(samples))
    assert np.array_equal(order, epoch_order(samples, shuffle, seed, 3))
    if shuffle == "once":
        assert np.array_equal(order, epoch_order(samples, shuffle, seed, 0))


def test_orders_differ_by_seed_and_epoch():
    orders = {tuple(epoch_order(50, "epoch", seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_records_of_epochs_and_steps(make_spec, make_model, noise):
    """With weights at zero and no rate, every loss is log 5."""
    spec = make_spec(
        [Softmax(units=5, init="zeros")], optimizer={"type": "sgd", "lr": 0.0}, **SIZES
    )
    seen, model = [], make_model(spec, (2, 4, 4))
    with Threads(1) as pool:
        trainer = trainer_of(spec, model, pool, seen.append)
        records = list(trainer.run(noise(10), noise(5)))
    assert [record.epoch for record in records] == [1, 2]
    for record in records:
        assert record.train_loss == pytest.approx(log(5), abs=1e-14)
        assert record.validation == pytest.approx({"loss": log(5), "accuracy": 0.2})
        assert record.seconds > 0
        assert record.samples_per_second == 10 / record.seconds
    assert [(p.epoch, p.samples, p.total) for p in seen] == [
        (epoch, samples, 10) for epoch in (1, 2) for samples in (4, 8, 10)
    ]
    assert all(isinstance(p, Progress) and p.loss == pytest.approx(log(5)) for p in seen)
    assert trainer.step == 6


def test_a_trainer_trains_again(make_spec, make_model, noise):
    """Each run has all its epochs; the counts of steps and of updates go on, as the optimizer's
    state does: by them Adam makes up for its start at zero."""
    spec = make_spec([Softmax(units=5)], optimizer=Counting(lr=0.1, accumulate=2), **SIZES)
    counted.clear()
    with Threads(1) as pool:
        trainer = trainer_of(spec, make_model(spec, (2, 4, 4)), pool)
        for runs in (1, 2):
            assert [record.epoch for record in trainer.run(noise(10), None)] == [1, 2]
            assert trainer.step == 6 * runs
    assert counted == list(range(8))


def test_without_a_validation_split_nothing_is_evaluated(make_spec, make_model, noise):
    spec = make_spec([Softmax(units=5)], **SIZES)
    with Threads(1) as pool:
        records = list(trainer_of(spec, make_model(spec, (2, 4, 4)), pool).run(noise(4), None))
    assert [record.validation for record in records] == [None, None]


def test_the_rate_of_a_step_is_the_schedules_at_its_end(make_spec, make_model, noise):
    """Warm-up over one epoch of three steps, then a drop to a tenth in the third epoch."""
    schedule = {"type": "step", "every": 2, "scale": 0.1, "warmup": 1.0}
    optimizer = {"type": "sgd", "lr": 0.6, "schedule": schedule}
    spec = make_spec(
        [Softmax(units=5)], optimizer=optimizer, train={"epochs": 3, "batch": 4, "shuffle": "none"}
    )
    rates = []
    model, split = make_model(spec, (2, 4, 4)), noise(10)
    with Threads(1) as pool:
        trainer = trainer_of(spec, model, pool)
        move = trainer._update

        class Noting:
            state = move.state

            def apply(self, parts, gradients, lr, step, share):
                rates.append((step, pytest.approx(lr)))
                move.apply(parts, gradients, lr, step, share)

        trainer._update = Noting()
        records = list(trainer.run(split, None))
    assert rates == list(enumerate([0.2, 0.4, 0.6, 0.6, 0.6, 0.6, 0.06, 0.06, 0.06]))
    assert [record.lr for record in records] == pytest.approx([0.6, 0.6, 0.06])


def test_only_weights_that_learn_move_and_have_a_state(make_spec, make_model, noise, half_fixed):
    optimizer = {"type": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.5}
    spec = make_spec([half_fixed(), Softmax(units=5)], optimizer=optimizer, **SIZES)
    model = make_model(spec, (2, 4, 4))
    with Threads(1) as pool:
        trainer = trainer_of(spec, model, pool)
        list(trainer.run(noise(10), None))
    assert model.weights["0_half_fixed"]["count"].tolist() == [7, 7, 7]
    assert model.weights["0_half_fixed"]["W"] != 2
    learning = {"0_half_fixed/W", "1_softmax/0_dense/W", "1_softmax/0_dense/b"}
    assert {slot: set(arrays) for slot, arrays in trainer.optimizer_state.items()} == {
        "velocity": learning
    }
    assert set(flatten(model.weights)) == {*learning, "0_half_fixed/count"}


def test_evaluation_by_hand(make_spec, make_model, noise):
    """Loss and metrics over 70 images, five shards, with dropout standing still."""
    layers = [Dense(units=6), Dropout(rate=0.9), Relu(), Sequential(layers=[Softmax(units=5)])]
    spec, split = make_spec(layers), noise(70)
    model = make_model(spec, (2, 4, 4))
    x = split.images
    for name, layer in model.network.steps:
        x, _ = layer.forward(x, model.weights.get(name, {}), Context())
    wanted = -np.log(x[np.arange(70), split.labels]).mean()
    confusion = np.zeros((5, 5), int)
    np.add.at(confusion, (split.labels, x.argmax(axis=1)), 1)
    plan = make_plan(model.network, spec.loss)
    assert plan.head is not None
    for threads in (1, 3):
        with Threads(threads) as pool:
            figures = evaluate(model, plan, [Accuracy(), Confusion()], split, pool)
        assert figures == {
            "loss": pytest.approx(wanted, abs=1e-13),
            "accuracy": np.trace(confusion) / 70,
            "confusion": confusion.tolist(),
        }


class Outputs(Metric):
    """Gives the outputs themselves."""

    type: str = "outputs"

    def evaluate(self, y, labels, classes):
        return y.tolist()


def test_metrics_see_predictions_and_not_the_logits_of_a_fused_head(make_spec, make_model, noise):
    spec = make_spec([Sigmoid(units=1)], loss="binary_cross_entropy")
    model, split = make_model(spec, (2, 4, 4)), noise(20, classes=2)
    plan = make_plan(model.network, spec.loss)
    assert plan.head is not None
    with Threads(1) as pool:
        y = model.predict(split.images, threads=pool)
        figures = evaluate(model, plan, [Outputs(), Accuracy()], split, pool)
    np.testing.assert_allclose(figures["outputs"], y, rtol=0, atol=1e-15)
    assert figures["accuracy"] == ((y[:, 0] > 0.5) == split.labels).mean()


def test_a_network_in_which_nothing_learns_is_refused(make_spec, make_model):
    spec = make_spec(["relu", "softmax"])
    with Threads(1) as pool, pytest.raises(TrainingError) as caught:
        trainer_of(spec, make_model(spec, (5,)), pool)
    assert str(caught.value) == (
        "no layer of this network has weights that learn; add one, such as dense, or leave "
        "trainable = false out of one"
    )
