"""Policies for numbers that are not finite: a step is skipped, or an epoch begins again."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import pytest

from cnnkit.arrays import flatten
from cnnkit.base import Layer, Schedule, Split
from cnnkit.engine.nonfinite import MOST_ROLLBACKS
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import TrainingError
from cnnkit.losses import CrossEntropy
from cnnkit.model import Model
from cnnkit.optimizers import Adam, Sgd
from cnnkit.workers import Threads

STEPS, EPOCHS = 6, 3
IMAGES = np.random.default_rng(0).standard_normal((4 * STEPS, 1, 6, 6))
LABELS = np.arange(len(IMAGES)) % 3


class Spoils(Layer):
    """The identity, but where a test asks for otherwise."""

    type: Literal["spoils"] = "spoils"
    asked: ClassVar[Callable[[tuple[int, ...]], bool]]  # by the key: seed, epoch, step, shard
    backward: bool = False

    def forward(self, x, w, ctx):
        spoil = ctx.training and len(ctx.key) > 3 and type(self).asked(ctx.key)
        y = x * (np.nan if spoil and not self.backward else 1)
        return y, lambda dy: (dy * (np.inf if spoil and self.backward else 1), {})


class Rates(Schedule):
    """The learning rate of a test's choice."""

    type: Literal["rates"] = "rates"
    rates: ClassVar[Callable[[float], float]]  # of whole steps done

    def factor(self, progress, epochs):
        return type(self).rates(round(progress * STEPS - 1 + 0.01))


@pytest.fixture
def trainer(monkeypatch):
    def make(asked=lambda key: False, rates=lambda step: 1.0, backward=False, **settings):
        monkeypatch.setattr(Spoils, "asked", staticmethod(asked), raising=False)
        monkeypatch.setattr(Rates, "rates", staticmethod(rates), raising=False)
        layers = [{"type": "conv", "filters": 3, "kernel": 3}, "batch_norm",
                  Spoils(backward=backward), "relu", {"type": "softmax", "units": 3}]  # fmt: skip
        model = Model.build(layers, (1, 6, 6), dtype="float64")
        given = {"optimizer": Sgd(lr=0.1, momentum=0), "schedule": Rates(), "epochs": EPOCHS,
                 "batch": 4, "shard": 2, "threads": pool} | settings  # fmt: skip
        return Trainer(model, CrossEntropy(), **given)

    with Threads(1) as pool:
        yield make


def train(one: Trainer) -> tuple[list, dict[str, np.ndarray]]:
    epochs = list(one.run(Split(IMAGES, LABELS), None))
    return epochs, {path: w.copy() for path, w in flatten(one.model.weights).items()}


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    for path, w in wanted.items():
        np.testing.assert_array_equal(found[path], w, err_msg=path)


def learned(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    running = ("mean", "variance")
    return {path: w for path, w in weights.items() if not path.endswith(running)}


def at(epoch: int, *steps: int) -> Callable[[tuple[int, ...]], bool]:
    return lambda key: key[1] == epoch and key[2] in steps


def once(epoch: int, step: int, times: int = 1) -> Callable[[tuple[int, ...]], bool]:
    """Ask for it the first times that a step is taken, and in the look at who is to blame."""
    tries: list[int] = []

    def asked(key):
        if key[1:3] != (epoch, step):
            return False
        tries.append(key[3])
        return len(tries) <= 2 * times  # the step itself, and that look: the whole batch as one

    return asked


def test_the_default_stops(trainer):
    with pytest.raises(TrainingError, match=r"not finite at epoch 2, step 9: layer 3 \(spoils"):
        train(trainer(at(1, 2)))


@pytest.mark.parametrize("backward", [False, True])
def test_a_skipped_step_moves_nothing(trainer, backward):
    """As if its learning rate had been 0, and nothing renewed the running statistics."""
    epochs, weights = train(trainer(at(1, 2, 4), backward=backward, on_nonfinite="skip"))
    assert [one.skipped for one in epochs] == [0, 2, 0]
    wanted = trainer(rates=lambda step: 0.0 if step in (STEPS + 2, STEPS + 4) else 1.0)
    records, expected = train(wanted)
    assert_same(learned(weights), learned(expected))
    assert epochs[0] == type(epochs[0])(**{**vars_of(records[0]), **times(epochs[0])})
    assert np.isfinite([one.train_loss for one in epochs]).all()
    for path in weights.keys() - learned(weights).keys():
        assert not np.array_equal(weights[path], expected[path])  # those renewed at each step


def vars_of(record):
    return {name: getattr(record, name) for name in type(record).__dataclass_fields__}


def times(record):
    return {"seconds": record.seconds, "samples_per_second": record.samples_per_second}


def test_a_large_gradient_is_seen_too(trainer):
    """Beyond 8192 numbers, only this policy looks at all of them."""

    class OneBad(Layer):
        type: Literal["one_bad"] = "one_bad"

        def weights(self, shape):
            from cnnkit.base import Weight

            return {"W": Weight((100, 100), 0.5)}

        def forward(self, x, w, ctx):
            def backward(dy):
                dW = np.zeros((100, 100), x.dtype)
                dW[99, 99] = np.inf if ctx.key[2] == 3 and ctx.training else 0.0
                return dy, {"W": dW}

            return x, backward

    model = Model.build([OneBad(), {"type": "softmax", "units": 3}], (1, 6, 6))
    settings = {"epochs": 1, "batch": 4, "shard": 4, "on_nonfinite": "skip"}
    trainer_ = Trainer(model, CrossEntropy(), Sgd(lr=0.1), **settings)
    [epoch] = trainer_.run(Split(IMAGES, LABELS), None)
    assert epoch.skipped == 1
    assert np.isfinite(flatten(model.weights)["0_one_bad/W"]).all()


def test_an_update_of_several_batches_goes_on_without_one(trainer):
    optimizer = Sgd(lr=0.1, momentum=0, accumulate=2)
    epochs, weights = train(trainer(at(0, 1), optimizer=optimizer, on_nonfinite="skip"))
    assert epochs[0].skipped == 1
    # the batch before it moves the weights by itself
    whole = trainer(optimizer=optimizer)
    _, expected = train(whole)
    first = trainer(on_nonfinite="skip", epochs=1, optimizer=Sgd(lr=0.1, momentum=0))
    run = first.run(Split(IMAGES, LABELS), None)
    seen: list = []
    first.watch = lambda progress: seen.append(
        {path: w.copy() for path, w in flatten(first.model.weights).items()}
    )
    next(run)
    second: list = []
    again = trainer(at(0, 1), optimizer=optimizer, on_nonfinite="skip", epochs=1)
    again.watch = lambda progress: second.append(
        {path: w.copy() for path, w in flatten(again.model.weights).items()}
    )
    next(again.run(Split(IMAGES, LABELS), None))
    for path, w in learned(seen[0]).items():
        np.testing.assert_allclose(second[1][path], w, rtol=1e-12, atol=1e-15)
    assert any(not np.array_equal(weights[path], w) for path, w in learned(expected).items())


def test_an_epoch_of_which_every_step_is_skipped_stops(trainer):
    with pytest.raises(TrainingError, match=r"at epoch 2, step 12: layer 3 \(spoils"):
        train(trainer(at(1, *range(STEPS)), on_nonfinite="skip"))


def test_weights_that_have_diverged_are_no_matter_of_skipping(trainer):
    one = trainer(on_nonfinite="skip")
    one.watch = lambda progress: flatten(one.model.weights)["0_conv/W"].fill(np.nan)
    with pytest.raises(TrainingError, match=r"at epoch 1, step 2: weight 0_conv/W .* diverged"):
        train(one)


@pytest.mark.parametrize("optimizer", [Sgd(lr=0.1, momentum=0.9), Adam(lr=0.01)])
def test_back_to_the_start_with_half_the_rate(trainer, optimizer):
    """From there on all rates are half of what they were, to the bit."""
    settings = {"optimizer": optimizer, "on_nonfinite": "rollback"}
    epochs, weights = train(trainer(once(1, 4), **settings))
    assert [one.rollbacks for one in epochs] == [0, 1, 0]
    half = trainer(rates=lambda step: 0.5 if step >= STEPS else 1.0, optimizer=optimizer)
    records, expected = train(half)
    assert_same(weights, expected)
    assert [one.lr for one in epochs] == [one.lr for one in records]
    assert [one.train_loss for one in epochs] == [one.train_loss for one in records]


def test_it_goes_back_a_few_times_and_then_stops(trainer):
    one = trainer(at(1, 4), on_nonfinite="rollback")
    with pytest.raises(TrainingError, match=r"at epoch 2, step 11: layer 3 \(spoils"):
        train(one)
    assert len(one.notes) == MOST_ROLLBACKS
    assert one.notes[1].startswith(
        "back to the start of epoch 2, with 0.25 of the learning rate: the loss is not finite at "
    )


@pytest.mark.parametrize("stop", [1, 3])
def test_what_goes_on_within_an_epoch_can_still_go_back(trainer, stop):
    """The checkpoint holds the start, too."""
    settings = {"optimizer": Adam(lr=0.01), "on_nonfinite": "rollback"}
    _, expected = train(trainer(once(1, 4), **settings))
    first, kept = trainer(**settings), []

    def watch(progress):
        if first.step == STEPS + stop:
            state = {s: {p: a.copy() for p, a in arrays.items()}
                     for s, arrays in first.optimizer_state.items()}  # fmt: skip
            weights = {p: w.copy() for p, w in flatten(first.model.weights).items()}
            kept.extend([weights, state, first.position])

    first.watch = watch
    train(first)
    second = trainer(once(1, 4), **settings)
    second.restore(*kept)
    epochs, weights = train(second)
    assert [one.rollbacks for one in epochs] == [1, 0]
    assert_same(weights, expected)


def test_figures_that_are_not_finite_go_back_too(trainer):
    """The weights of the last step are judged by the validation images first."""
    one, tries = trainer(on_nonfinite="rollback", epochs=1), []
    real = one._judge

    def judge(*facts):
        tries.append(one.position.halved)
        if len(tries) == 1:
            flatten(one.model.weights)["0_conv/W"][...] = np.nan
        return real(*facts)

    one._judge = judge
    [epoch] = one.run(Split(IMAGES, LABELS), Split(IMAGES, LABELS))
    assert (tries, epoch.rollbacks, one.judging) == ([0, 1], 1, False)
