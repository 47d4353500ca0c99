"""Several batches for one update; what a trainer makes of schedules and of weights that rest."""

from __future__ import annotations

from copy import deepcopy
from typing import Literal

import numpy as np
import pytest

from cnnkit.arrays import flatten
from cnnkit.base import Optimizer, Split
from cnnkit.engine.trainer import Trainer
from cnnkit.losses import CrossEntropy
from cnnkit.model import Model
from cnnkit.optimizers import Adam, AdamW, Sgd
from cnnkit.schedules import Cosine, Linear
from cnnkit.workers import Threads

LAYERS = [
    {"type": "conv", "filters": 3, "kernel": 3}, "relu", {"type": "softmax", "units": 3}
]  # fmt: skip
IMAGES = np.random.default_rng(0).standard_normal((43, 1, 6, 6))
LABELS = np.arange(43) % 3


class Somebodys(Optimizer):
    """Takes steps of the gradient's sign, counted by `step`, on whole arrays."""

    type: Literal["somebodys"] = "somebodys"

    def update(self, weights, grads, state, lr, step):
        for path, g in grads.items():
            weights[path] -= lr / (1 + step) * np.sign(g)


def trained(
    optimizer, batch, *, threads=1, shard=4, dtype="float64", images=IMAGES, labels=LABELS,
    **settings,
):  # fmt: skip
    model = Model.build(LAYERS, (1, 6, 6), dtype=dtype)
    with Threads(threads) as pool:
        trainer = Trainer(model, CrossEntropy(), optimizer, epochs=2, batch=batch, shard=shard,
                          threads=pool, **settings)  # fmt: skip
        epochs = list(trainer.run(Split(images, labels), None))
    return flatten(model.weights), [one.train_loss for one in epochs]


@pytest.mark.parametrize(
    "made",
    [
        lambda **more: Sgd(lr=0.1, momentum=0.9, **more),
        lambda **more: Adam(lr=0.01, **more),
        lambda **more: AdamW(lr=0.01, clip=0.1, **more),
        lambda **more: Somebodys(lr=0.01, **more),
    ],
)
@pytest.mark.parametrize("batch", [4, 5])  # 43 images: the last update is shorter, in two ways
def test_as_one_batch_so_many_times_as_large(made, batch):
    small, losses = trained(made(accumulate=3), batch)
    large, wanted = trained(made(), 3 * batch)
    for path, w in large.items():
        np.testing.assert_allclose(small[path], w, rtol=1e-9, atol=1e-12, err_msg=path)
    np.testing.assert_allclose(losses, wanted, rtol=1e-9)


@pytest.mark.parametrize("skipped", [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1, 2)])
def test_skipped_batches_are_left_out_of_the_average(skipped):
    """As one batch of what is left; where nothing is, momentum does not move the weights either."""
    rows = np.arange(24)
    out = np.isin(rows // 4, skipped)
    spoilt = IMAGES[:24].copy()
    spoilt[out] = np.nan
    rates = {"lr": 0.1, "momentum": 0.9}
    facts = {"images": spoilt, "labels": LABELS[:24], "shuffle": "none", "on_nonfinite": "skip"}
    small, losses = trained(Sgd(**rates, accumulate=3), 4, **facts)
    model = Model.build(LAYERS, (1, 6, 6), dtype="float64")
    trainer = Trainer(model, CrossEntropy(), Sgd(**rates), epochs=1, batch=12, shuffle="none")
    wanted = []
    for _ in range(2):
        total = 0.0
        for part in filter(len, (rows[:12][~out[:12]], rows[12:])):  # the updates of an epoch
            (epoch,) = trainer.run(Split(IMAGES[part], LABELS[part]), None)
            total += epoch.train_loss * len(part)
        wanted.append(total / (~out).sum())
    for path, w in flatten(model.weights).items():
        np.testing.assert_allclose(small[path], w, rtol=1e-9, atol=1e-12, err_msg=path)
    np.testing.assert_allclose(losses, wanted, rtol=1e-9)


@pytest.mark.parametrize("optimizer", [
    Adam(lr=0.01, accumulate=2, clip=0.5), Sgd(lr=0.1, weight_decay=0.1, clip_value=0.01),
    AdamW(lr=0.01), Somebodys(lr=0.01, accumulate=2, clip=0.1),
])  # fmt: skip
def test_bits_do_not_depend_on_threads(optimizer):
    one, two, three = (trained(optimizer, 12, threads=n, dtype="float32") for n in (1, 2, 3))
    np.testing.assert_equal(one, two)
    np.testing.assert_equal(one, three)


def test_biases_do_not_decay():
    """Without a gradient (all images and weights zero but for the bias), only decay would move."""
    model = Model.build([{"type": "softmax", "units": 3, "init": "zeros"}], (1, 2, 2))
    (b,) = (w for path, w in flatten(model.weights).items() if path.endswith("b"))
    b[...] = [200, 0, 0]  # softmax gives all to class 0, which is right
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=1.0, weight_decay=0.5), epochs=1, batch=4)
    trainer.fit(np.zeros((4, 1, 2, 2), np.float32), np.zeros(4, int))
    (b,) = (w for path, w in flatten(model.weights).items() if path.endswith("b"))
    assert b.tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    ("schedule", "factor"),  # of the last of four steps an epoch, two epochs: at 7.5 of 8
    [(Linear(), 0.5 / 8), (Cosine(), (1 + np.cos(np.pi * 7.5 / 8)) / 2)],
    ids=["linear", "cosine"],
)
def test_the_last_step_is_none_of_rate_zero(schedule, factor):
    model = Model.build(LAYERS, (1, 6, 6))
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.5, schedule=schedule), epochs=2, batch=10)
    epochs = trainer.fit(IMAGES[:40].astype(np.float32), LABELS[:40])
    assert epochs[0].lr == pytest.approx(0.5 * schedule.factor(1, 2))  # as ever
    assert epochs[1].lr == pytest.approx(0.5 * factor)


@pytest.mark.parametrize("skipped", [False, True])
@pytest.mark.parametrize("stop", [4, 5, 12])  # of 11 steps an epoch, in updates of 3 batches
def test_it_goes_on_from_the_middle_of_an_update(stop, skipped):
    images = IMAGES.copy()
    images[[1, 13] if skipped else []] = np.nan  # in the first batches of the updates at `stop`

    def made(watch=None):
        model = Model.build(LAYERS, (1, 6, 6))
        optimizer = Adam(lr=0.01, accumulate=3, clip=0.1)
        return Trainer(model, CrossEntropy(), optimizer, epochs=2, batch=4, watch=watch,
                       shuffle="none", on_nonfinite="skip")  # fmt: skip

    kept = []

    def keep(progress):
        if whole.step == stop:
            kept.append(deepcopy((flatten(whole.model.weights), whole.optimizer_state)))
            kept.append(whole.position)

    whole = made(keep)
    epochs = list(whole.run(Split(images, LABELS), None))
    assert [one.skipped for one in epochs] == [2 * skipped] * 2
    rest = made()
    rest.restore(*kept[0], kept[1])
    list(rest.run(Split(images, LABELS), None))
    np.testing.assert_equal(flatten(rest.model.weights), flatten(whole.model.weights))
