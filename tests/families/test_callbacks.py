"""The built-in callbacks against figures, weights and rates computed by hand."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

from cnnkit.arrays import flatten
from cnnkit.base import Callback, Split
from cnnkit.callbacks import EarlyStopping, Ema, Plateau, StopAfter, Swa
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import TrainingError
from cnnkit.losses import CrossEntropy
from cnnkit.metrics import Accuracy, Confusion
from cnnkit.model import Model
from cnnkit.optimizers import Sgd
from cnnkit.testing.callback import Course

X = np.random.default_rng(0).standard_normal((40, 1, 3, 3)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 3, 40)
HELD = X[:20] + 1, Y[:20]
LAYERS = ["batch_norm", {"type": "dense", "units": 4}, "tanh", {"type": "softmax", "units": 3}]
PER_EPOCH = 4


def build():
    return Model.build(LAYERS, (1, 3, 3), seed=3, dtype="float64")


def trained(*callbacks, epochs=6, lr=0.5, watch=None, held=HELD, **settings):
    """Return a model that was trained with these, and its records."""
    settings = {"metrics": [Accuracy()], "batch": 10, "callbacks": callbacks, **settings}
    trainer = Trainer(build(), CrossEntropy(), Sgd(lr=lr), epochs=epochs, watch=watch, **settings)
    return trainer, trainer.fit(X, Y, held)


def weights(model):
    return {path: w.copy() for path, w in flatten(model.weights).items()}


@pytest.fixture(scope="module")
def course():
    """The weights after each step of a training without callbacks, its initial ones first."""
    kept = []
    model = build()
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.5), epochs=6, batch=10,
                      watch=lambda _: kept.append(weights(model)))  # fmt: skip
    kept.append(weights(model))
    trainer.fit(X, Y, HELD)
    return kept


def assert_alike(model, wanted, exact=()):
    for path, w in flatten(model.weights).items():
        close = 0 if path in exact else 1e-12
        np.testing.assert_allclose(w, wanted[path], rtol=close, atol=close, err_msg=path)


def fixed(model):
    return flatten(model.weights).keys() - model.learning


@pytest.mark.parametrize("decay", [0.0, 0.6, 0.99])
def test_ema_is_the_running_average_of_what_learns(course, decay):
    trainer, _ = trained(Ema(decay=decay))
    wanted = dict(course[0])
    for n, after in enumerate(course[1:]):
        d = min(decay, (1 + n) / (10 + n))
        wanted = {path: d * w + (1 - d) * after[path] for path, w in wanted.items()}
    statistics = fixed(trainer.model)
    assert len(statistics) >= 2
    wanted |= {path: course[-1][path] for path in statistics}
    assert_alike(trainer.model, wanted, exact=statistics)


@pytest.mark.parametrize(("start", "every", "counted"), [(1, 1, range(1, 7)), (2, 2, (2, 4, 6)),
                                                         (4, 3, (4,)), (6, 5, (6,))])  # fmt: skip
def test_swa_is_the_mean_after_some_epochs(course, start, every, counted):
    trainer, _ = trained(Swa(start=start, every=every))
    ends = [course[PER_EPOCH * epoch] for epoch in counted]
    wanted = {path: np.mean([end[path] for end in ends], axis=0) for path in ends[0]}
    statistics = fixed(trainer.model)
    wanted |= {path: course[-1][path] for path in statistics}
    assert_alike(trainer.model, wanted, exact=statistics)


def test_swa_that_has_not_begun_leaves_the_weights(course):
    trainer, _ = trained(Swa(start=6), StopAfter(minutes=1e-9))
    assert_alike(trainer.model, course[1], exact=course[1])


def test_swa_that_begins_after_the_last_epoch_is_refused():
    with pytest.raises(TrainingError) as caught:
        trained(Swa(start=7))
    assert str(caught.value) == "swa begins in epoch 7, and there are to be 6 epochs"


def test_what_is_judged_are_the_averages_and_training_goes_on_with_its_own(course):
    _, records = trained(Ema(decay=0.9))
    _, plain = trained()
    assert [r.train_loss for r in records] == [r.train_loss for r in plain]
    model, other = build(), {path: w.copy() for path, w in course[0].items()}
    for n, after in enumerate(course[1 : PER_EPOCH + 1]):
        d = min(0.9, (1 + n) / (10 + n))
        learn = {path: d * w + (1 - d) * after[path] for path, w in other.items()}
        other = {path: learn[path] if path in model.learning else after[path] for path in other}
    for path, w in flatten(model.weights).items():
        w[...] = other[path]
    y = model.predict(HELD[0])
    loss = -np.log(y[np.arange(20), HELD[1]]).mean()
    assert records[0].validation["loss"] == pytest.approx(loss, rel=1e-10)
    assert records[0].validation["loss"] != plain[0].validation["loss"]


def by_hand(figures, patience, min_delta=0.0, higher=False):
    """Return the epoch at which it stops (None for never), and the best one, counted from 1."""
    best, at = None, 0
    for epoch, figure in enumerate(figures, 1):
        gain = None if best is None else (figure - best if higher else best - figure)
        if gain is None or gain > min_delta:
            best, at = figure, epoch
        elif epoch - at >= patience:
            return epoch, at
    return None, at


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
@pytest.mark.parametrize("patience", [1, 2, 30])
def test_early_stopping_keeps_the_best_epoch(metric, patience):
    ends = []
    model = build()
    settings = {"metrics": [Accuracy()], "epochs": 12, "batch": 10}
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=3.0), **settings)
    train, held = _splits(model)
    records = []
    for record in trainer.run(train, held):
        records.append(record)
        ends.append(weights(model))
    figures = [record.validation[metric] for record in records]
    stop, best = by_hand(figures, patience, higher=metric == "accuracy")
    assert stop is not None or patience == 30
    again, short = trained(EarlyStopping(metric=metric, patience=patience), epochs=12, lr=3.0)
    assert len(short) == (stop or 12)
    assert_alike(again.model, ends[best - 1], exact=ends[0])  # running statistics, too
    last, _ = trained(
        EarlyStopping(metric=metric, patience=patience, restore=False), epochs=12, lr=3.0
    )
    assert_alike(last.model, ends[(stop or 12) - 1], exact=ends[0])
    why = f"early_stopping: no better {metric} in {patience} epoch{'s' * (patience > 1)}"
    assert again.callbacks.stopped == (why if stop else "")


def _splits(model):
    from cnnkit.engine.trainer import labelled

    return labelled(model, X, Y), labelled(model, *HELD)


@pytest.mark.parametrize("order", [1, -1])
def test_early_stopping_keeps_the_averages_that_were_judged(order):
    callbacks = [Ema(decay=0.5), EarlyStopping(metric="loss", patience=2)][::order]
    trainer, records = trained(*callbacks, epochs=12, lr=3.0)
    best = min(record.validation["loss"] for record in records)
    y = trainer.model.predict(HELD[0])
    assert -np.log(y[np.arange(20), HELD[1]]).mean() == pytest.approx(best, rel=1e-12)


def test_min_delta_by_hand():
    course = Course(EarlyStopping(patience=2, min_delta=0.3)).run()  # 0.9 0.5 0.5 0.7 0.4 0.6
    assert course.training.stopped == "early_stopping: no better loss in 2 epochs"
    assert (course.state["best"], course.state["waited"]) == (0.5, 0)  # twice
    assert by_hand([0.9, 0.5, 0.5, 0.7, 0.4, 0.6], 2, 0.3) == (4, 2)


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({"patience": 1, "factor": 0.5}, [0.1, 0.1, 0.05, 0.025, 0.025, 0.0125]),
        ({"patience": 2, "factor": 0.5}, [0.1, 0.1, 0.1, 0.05, 0.05, 0.05]),
        ({"patience": 1, "factor": 0.5, "min_rate": 0.04}, [0.1, 0.1, 0.05, 0.04, 0.04, 0.04]),
        ({"patience": 1, "factor": 0.5, "min_rate": 0.2}, [0.1] * 6),
        # a higher accuracy is better: 0.9 stays the best
        ({"metric": "accuracy", "patience": 2}, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]),
    ],
)
def test_plateau_by_hand(options, rates):
    course, found = Course(Plateau(**options)), []
    for epoch in range(6):
        found.append(course.run(4 * epoch, 4 * epoch + 4).training.rate)
    assert found == pytest.approx(rates, rel=1e-12)


def test_plateau_lowers_the_rate_of_the_steps_that_follow():
    _, plain = trained(epochs=12, lr=3.0)
    _, records = trained(Plateau(patience=1, factor=0.1), epochs=12, lr=3.0)
    losses = [record.validation["loss"] for record in records]
    rate, best, wanted = 3.0, np.inf, []
    for loss in losses:
        wanted.append(rate)
        rate, best = (rate, loss) if loss < best else (rate * 0.1, best)
    assert [record.lr for record in records] == pytest.approx(wanted)
    assert wanted[-1] < 3.0
    assert [r.lr for r in plain] == [3.0] * 12


def test_stop_after_ends_within_an_epoch():
    trainer, (record,) = trained(StopAfter(minutes=1e-9))
    assert trainer.callbacks.stopped == "stop_after: 1e-09 minutes are over"
    assert record.seconds * record.samples_per_second == pytest.approx(10)  # images of one batch
    assert trainer.step == 1


def test_stop_after_counts_the_epochs_before():
    course = Course(StopAfter(minutes=3.25 / 60))  # an epoch takes a second, a step a quarter
    assert course.run(0, 12).training.stopped == ""
    assert course.state == {"seconds": 3.0}
    assert course.run(12, 13).training.stopped == "stop_after: 0.0541667 minutes are over"
    assert course.run(13, 16).state == {"seconds": 0.0}  # as many again


def test_an_accumulated_update_ends_before_training_stops():
    seen = []

    class Counts(Callback):
        type: str = "counts"

        def step(self, training, state):
            seen.append(training.index)
            training.stop("enough")

    optimizer = Sgd(lr=0.5, accumulate=3)
    trainer = Trainer(build(), CrossEntropy(), optimizer, epochs=2, batch=10, callbacks=[Counts()])
    assert len(trainer.fit(X, Y)) == 1
    assert seen == [3]
    assert not trainer.optimizer_state["accumulated"]["1_dense/W"].any()


def test_watching_what_is_not_measured_is_refused():
    with pytest.raises(TrainingError) as caught:
        trained(EarlyStopping(metric="macro_f1"))
    assert str(caught.value) == "early_stopping watches 'macro_f1'; expected loss or accuracy"
    with pytest.raises(TrainingError, match="watches accuracy, which is measured on validation"):
        trained(Plateau(metric="accuracy"), held=None)
    _, records = trained(EarlyStopping(patience=1), held=None, epochs=3, lr=0.01)
    assert len(records) == 3  # the training loss falls


def test_a_second_training_begins_anew():
    trainer, _ = trained(EarlyStopping(patience=1), Plateau(patience=1), epochs=12, lr=3.0)
    assert trainer.callbacks.stopped
    assert len(trainer.fit(X, Y, HELD)) >= 2
    assert trainer.fit(X, Y, HELD)[0].lr == 3.0


def test_without_callbacks_nothing_is_remembered():
    trainer, _ = trained()
    assert trainer.callbacks.memory is None


def test_a_callback_cannot_change_the_record_nor_draw_the_same_twice():
    drawn = []

    class Meddles(Callback):
        type: str = "meddles"

        def step(self, training, state):
            drawn.append(training.rng().random())

        def epoch(self, training, state):
            with pytest.raises(TypeError, match="does not support item assignment"):
                training.figures["accuracy"] = 1.5
            with pytest.raises(AttributeError, match="has no attribute 'add'"):
                training.higher.add("loss")
            training.figures["confusion"][0][0] = -1  # its own copy, as the one after it has
            drawn.append(training.rng().random())
            with pytest.raises(ValueError, match="read-only"):
                training.weights["0_batch_norm/mean"][0] = 7.0
            training.figures = {}

    class Reads(Callback):
        type: str = "reads"

        def epoch(self, training, state):
            read.append(dict(training.figures))

    read, metrics = [], [Accuracy(), Confusion()]
    _, records = trained(Meddles(), Reads(), epochs=2, metrics=metrics)
    _, plain = trained(epochs=2, metrics=metrics)
    assert read == [record.validation for record in plain]
    assert [record.validation for record in records] == [record.validation for record in plain]
    assert len(set(drawn)) == 2 * (PER_EPOCH + 1)
    again = list(drawn)
    drawn.clear()
    trained(Meddles(), epochs=2, metrics=metrics)
    assert drawn == again


class Poison(Callback):
    """Spoils the weights once, in the middle of the second epoch: at half the rate no more."""

    type: str = "poison"
    lr: float = 0.5

    def step(self, training, state):
        if training.lr == pytest.approx(self.lr) and (training.epoch, training.index) == (2, 3):
            training.vector[:] = np.nan


def test_an_epoch_that_begins_again_begins_with_the_states_it_had():
    kept = []

    def watch(progress):
        while kept and kept[-1][0] >= (progress.epoch, progress.samples):
            kept.pop()
        kept.append(((progress.epoch, progress.samples), weights(model)))

    model = build()
    wanted = weights(model)
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.5), epochs=3, batch=10, watch=watch,
                      on_nonfinite="rollback", callbacks=[Ema(decay=0.6), Poison()])  # fmt: skip
    records = trainer.fit(X, Y, HELD)
    assert [record.rollbacks for record in records] == [0, 1, 0]
    assert [record.lr for record in records] == [0.5, 0.25, 0.25]
    assert len(kept) == 3 * PER_EPOCH
    for n, (_, after) in enumerate(kept):
        d = min(0.6, (1 + n) / (10 + n))
        wanted = {path: d * w + (1 - d) * after[path] for path, w in wanted.items()}
    wanted |= {path: kept[-1][1][path] for path in fixed(model)}
    assert_alike(model, wanted)


class Decays(Callback):
    """Lowers the rate after each step."""

    type: str = "decays"

    def step(self, training, state):
        training.rate *= 0.9


@pytest.mark.parametrize("stop", [None, 5, 6])  # within the epoch that begins again
def test_an_epoch_that_begins_again_begins_with_the_rate_it_had(stop):
    def made(watch=None):
        callbacks = [Decays(), Poison(lr=0.5 * 0.9 ** (PER_EPOCH + 2))]
        return Trainer(build(), CrossEntropy(), Sgd(lr=0.5), epochs=3, batch=10, watch=watch,
                       on_nonfinite="rollback", callbacks=callbacks)  # fmt: skip

    kept = []

    def watch(progress):
        if trainer.step == stop and not kept:
            facts = trainer.optimizer_state, trainer.position, trainer.callbacks.memory
            kept.extend(deepcopy((weights(trainer.model), *facts)))

    trainer = made(watch)
    records = trainer.fit(X, Y, HELD)
    if stop:
        trainer = made()
        trainer.restore(*kept)
        assert len(trainer.fit(X, Y, HELD)) == 2
    assert [record.rollbacks for record in records] == [0, 1, 0]
    assert trainer.callbacks.training.rate == pytest.approx(0.5 * 0.9 ** (3 * PER_EPOCH))


def test_a_step_that_is_skipped_is_no_update():
    class Counts(Callback):
        type: str = "counts"

        def init_state(self, training):
            return {"steps": 0}

        def step(self, training, state):
            state["steps"] += 1

    spoilt = X.copy()
    spoilt[5] = np.nan
    trainer = Trainer(build(), CrossEntropy(), Sgd(lr=0.5), epochs=2, batch=10, shuffle="none",
                      on_nonfinite="skip", callbacks=[Counts()])  # fmt: skip
    records = list(trainer.run(Split(spoilt, Y), None))
    assert [record.skipped for record in records] == [1, 1]
    assert trainer.callbacks.memory.states == {"0_counts": {"steps": 2 * (PER_EPOCH - 1)}}


class Calls(Callback):
    """Notes where in training it is called."""

    type: str = "calls"
    seen: list

    def step(self, training, state):
        self.seen.append(("step", training.epoch, training.index))

    def done(self, training, state):
        assert not training.figures
        self.seen.append(("done", training.epoch, training.index))

    def epoch(self, training, state):
        self.seen.append(("epoch", training.epoch, training.index))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_averages_where_the_last_step_of_an_epoch_is_skipped(accumulate):
    """With accumulate, the batch before it still moves the weights; without, none does."""
    spoilt, model, ends, calls = X.copy(), build(), [], Calls(seen=[])
    spoilt[-1] = np.nan
    averages = {path: w.copy() for path, w in flatten(model.weights).items()}
    optimizer = Sgd(lr=0.5, accumulate=accumulate)
    trainer = Trainer(model, CrossEntropy(), optimizer, epochs=3, batch=10, shuffle="none",
                      on_nonfinite="skip", watch=lambda _: ends.append(weights(model)),
                      callbacks=[Ema(decay=0.6), Swa(start=2), calls])  # fmt: skip
    records = list(trainer.run(Split(spoilt, Y), None))
    assert [record.skipped for record in records] == [1, 1, 1]
    moved = [2, 4] if accumulate == 2 else [1, 2, 3]
    assert calls.seen == [call for epoch in (1, 2, 3) for call in (
        *(("step", epoch, index) for index in moved), ("done", epoch, 4), ("epoch", epoch, 4))
    ]  # fmt: skip
    wanted = {path: (ends[7][path] + ends[11][path]) / 2 for path in model.learning}
    assert_alike(model, ends[11] | wanted)
    updates = [ends[4 * epoch + index - 1] for epoch in range(3) for index in moved]
    for n, after in enumerate(updates):
        d = min(0.6, (1 + n) / (10 + n))
        averages = {path: d * w + (1 - d) * after[path] for path, w in averages.items()}
    ema = trainer.callbacks.training.by_path(trainer.callbacks.memory.states["0_ema"]["average"])
    for path, w in ema.items():
        np.testing.assert_allclose(w, averages[path], rtol=1e-12, atol=1e-12, err_msg=path)


def test_an_epoch_that_is_cut_short_is_not_done():
    calls = Calls(seen=[])
    trained(StopAfter(minutes=1e-9), calls)
    assert calls.seen == [("step", 1, 1), ("epoch", 1, 1)]
