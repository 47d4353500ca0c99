"""Shards that meet in the middle of a layer: batch_norm in training, wherever it stands."""

from __future__ import annotations

import threading
import time
from typing import ClassVar, Literal

import numpy as np
import pytest

from cnnkit import Model, Trainer, TrainingError
from cnnkit import meeting as module
from cnnkit.arrays import flatten
from cnnkit.base import Layer
from cnnkit.layers import BatchNorm, Conv, Residual, Sequential
from cnnkit.losses import CrossEntropy
from cnnkit.meeting import Deserted, Meeting
from cnnkit.optimizers import Adam, Sgd
from cnnkit.plan import make_plan
from cnnkit.workers import Threads

CONV = {"type": "conv", "filters": 4, "kernel": 3, "padding": "same", "bias": "none"}
HEAD = {"type": "softmax", "units": 3}
NETWORKS = {
    "plain": [CONV, "batch_norm", "relu", {"type": "dense", "units": 5}, "batch_norm", HEAD],
    "residual": [
        {"type": "residual", "body": [CONV, "batch_norm", "relu", CONV, "batch_norm"],
         "project": True},
        {"type": "parallel", "branches": [[CONV, "batch_norm"], []]},
        {"type": "depthwise_separable", "filters": 4, "between": ["batch_norm", "relu"]},
        {"type": "dropout", "rate": 0.2}, "global_pool", HEAD],
}  # fmt: skip


class Centre(Layer):
    """Needs the whole batch at once: as a layer that does not gather."""

    type: Literal["centre"] = "centre"
    couples_batch: ClassVar[bool] = True

    def forward(self, x, w, ctx):
        if not ctx.training:
            return x, lambda dy: (dy, {})
        SEEN.append(len(x))
        return x - x.mean(axis=0), lambda dy: (dy - dy.mean(axis=0), {})


SEEN: list[int] = []


def data(images=44):
    rng = np.random.default_rng(3)
    return 2 + rng.standard_normal((images, 2, 6, 5)), rng.integers(0, 3, images)


def trained(layers, threads=2, shard=5, dtype="float64", optimizer=None, images=44):
    """Train two epochs of batches of 22; return the model."""
    model = Model.build(layers, (2, 6, 5), dtype=dtype)
    with Threads(threads) as workers:
        trainer = Trainer(
            model, CrossEntropy(), optimizer or Sgd(lr=0.05, momentum=0.9), epochs=2, batch=22,
            shard=shard, threads=workers,
        )  # fmt: skip
        x, y = data(images)
        trainer.fit(x.astype(dtype), y)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_the_bit_for_any_number_of_threads(name, dtype):
    one, *others = (flatten(trained(NETWORKS[name], n, dtype=dtype).weights) for n in (1, 2, 3, 7))
    for other in others:
        assert all(np.array_equal(one[path], other[path]) for path in one)


@pytest.mark.parametrize("shard", [1, 3, 5, 21])
@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_the_whole_batch_for_any_shards(name, shard):
    layers = [layer for layer in NETWORKS[name] if "dropout" not in str(layer)]  # drawn by shard
    whole, cut = (flatten(trained(layers, shard=size).weights) for size in (22, shard))
    for path, w in whole.items():
        np.testing.assert_allclose(cut[path], w, rtol=0, atol=1e-11, err_msg=path)


def test_running_statistics_by_hand():
    """Momentum 1 keeps those of the last batch, and they move when the step is over."""
    x, y = data(22)
    model = Model.build([{"type": "batch_norm", "momentum": 1.0}, HEAD], (2, 6, 5), dtype="float64")
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.1), epochs=1, batch=22, shard=5)
    trainer.fit(x, y)
    found = model.weights["0_batch_norm"]
    np.testing.assert_allclose(found["mean"], x.mean((0, 2, 3)), rtol=1e-12)
    unbiased = x.var((0, 2, 3)) * 660 / 659  # 22 images of 30 values a channel
    np.testing.assert_allclose(found["variance"], unbiased, rtol=1e-12)
    assert not np.array_equal(found["gamma"], [1, 1])


def test_a_last_batch_of_one_vector_leaves_them_alone():
    x, y = data(9)
    model = Model.build([{"type": "batch_norm", "momentum": 1.0}, HEAD], (60,), dtype="float64")
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.1), epochs=1, batch=8, shuffle="none")
    trainer.fit(x.reshape(9, 60), y)
    found, first = model.weights["0_batch_norm"], x[:8].reshape(8, 60)
    np.testing.assert_allclose(found["mean"], first.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["variance"], first.var(0, ddof=1), rtol=1e-12)


def test_prediction_reads_them_and_changes_nothing():
    model = trained(NETWORKS["plain"])
    before = {path: w.copy() for path, w in flatten(model.weights).items()}
    x, _ = data()
    y = model.predict(x)
    assert all(np.array_equal(w, before[path]) for path, w in flatten(model.weights).items())
    np.testing.assert_allclose(model.predict(x[:7]), y[:7], rtol=0, atol=1e-12)


def test_a_segment_for_the_whole_batch_may_lie_between():
    SEEN.clear()
    layers = [CONV, "batch_norm", Centre(), "relu", "batch_norm", HEAD]
    one, other = (flatten(trained(layers, n).weights) for n in (1, 3))
    assert set(SEEN) == {3, 22}  # three images at the trial step
    assert all(np.array_equal(one[path], other[path]) for path in one)
    whole = flatten(trained(layers, shard=22).weights)
    for path, w in whole.items():
        np.testing.assert_allclose(one[path], w, rtol=0, atol=1e-11, err_msg=path)


def test_a_container_that_holds_both_is_given_the_whole_batch():
    SEEN.clear()
    both = trained([Residual(body=[BatchNorm(), Centre()]), HEAD])
    assert set(SEEN) == {3, 22}
    assert not np.array_equal(both.weights["0_residual"]["0_batch_norm"]["mean"], [0, 0])


def test_segments_end_only_where_a_whole_batch_is_needed():
    network = Sequential(layers=[Conv(filters=2, kernel=1), BatchNorm(), Centre(), "relu"])
    plan = make_plan(network, CrossEntropy())
    said = [([name for name, _ in s.steps], s.couples_batch, s.gathers) for s in plan.segments]
    assert said == [(["0_conv", "1_batch_norm"], False, True), (["2_centre"], True, False),
                    (["3_relu"], False, False)]  # fmt: skip


class Odd(BatchNorm):
    """Does as it is told by MODE."""

    type: Literal["odd"] = "odd"

    def forward(self, x, w, ctx):
        if ctx.meet is not None and MODE == "raises" and ctx.key[3] == 1:
            raise ValueError("shard 1 has had enough")
        if ctx.meet is not None and MODE == "uneven" and ctx.key[3] == 1:
            return x, lambda dy: (dy, {name: np.zeros_like(w[name]) for name in ("gamma", "beta")})
        return super().forward(x, w, ctx)


class Silent(BatchNorm):
    """Gathers without having said so."""

    type: Literal["silent"] = "silent"
    couples_batch: ClassVar[bool] = False
    gathers: ClassVar[bool] = False


MODE = ""


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("mode", "layer", "text"),
    [
        ("raises", Odd, "raised ValueError at step 1: shard 1 has had enough"),
        ("uneven", Odd, "raised RuntimeError at step 1: some shards of a batch gather, and others "
         "do not"),
        ("", Silent, "raised RuntimeError at step 1: calls ctx.gather without having declared "
         "gathers = True"),
    ],
)  # fmt: skip
def test_nobody_waits_for_a_shard_that_will_not_come(mode, layer, text, threads, monkeypatch):
    monkeypatch.setitem(globals(), "MODE", mode)
    with pytest.raises(TrainingError) as caught:
        trained([CONV, layer(), "relu", HEAD], threads)
    assert text in str(caught.value)
    assert "layer 2 (" in str(caught.value)


class Root(Layer):
    """The square root of what lies above -8, which one image of the second batch does not."""

    type: Literal["root"] = "root"

    def forward(self, x, w, ctx):
        y = np.sqrt(x + 8)
        return y, lambda dy: (dy / (2 * y), {})


def test_a_value_that_is_not_finite_is_traced_through_the_whole_batch():
    x, y = data()
    x[30, 0, 0, 0] = -50  # alone in its shard it would lie less far from the mean
    model = Model.build(["batch_norm", Root(), HEAD], (2, 6, 5), dtype="float64")
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.01), batch=22, shard=1, shuffle="none")
    with pytest.raises(TrainingError, match=r"layer 2 \(root.*first to give .*\(image 30 of the"):
        trainer.fit(x, y)


def test_a_wrong_renewal_is_refused():
    class Wrong(BatchNorm):
        """Renews what learns."""

        type: Literal["wrong"] = "wrong"

        def forward(self, x, w, ctx):
            ctx.renew("gamma", w["gamma"])
            return super().forward(x, w, ctx)

    with pytest.raises(TrainingError) as caught:
        trained([Wrong(), HEAD])
    assert str(caught.value) == (
        "a layer renews 0_wrong/gamma by an array of shape (2,); expected one of 0_wrong/mean "
        "(2,), 0_wrong/variance (2,)"
    )


def seated(meeting, run):
    """Call run(shard) for every shard, in threads of their own; return what each raised."""
    raised = {}

    def attend(shard):
        try:
            with meeting.attended():
                run(shard)
        except BaseException as error:
            raised[shard] = type(error)

    threads = [threading.Thread(target=attend, args=(n,), name=f"shard {n}", daemon=True)
               for n in range(len(meeting))]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads), "shards wait for ever"
    return raised


@pytest.mark.parametrize("at_once", [1, 2, 3, 6])
def test_values_come_in_the_order_of_shards_and_so_many_run_at_once(at_once):
    meeting, found, running, most = Meeting(6, at_once), {}, [], [0]

    def run(shard):
        for turn in range(20):
            running.append(shard)
            most[0] = max(most[0], len(running))
            time.sleep(0.0005)  # in which the others may run
            running.remove(shard)
            found[shard, turn] = meeting.gather(shard, "a", (turn, shard))

    assert seated(meeting, run) == {}
    assert most[0] == at_once
    assert all(found[s, t] == [(t, k) for k in range(6)] for s in range(6) for t in range(20))


def test_a_meeting_serves_one_batch_after_the_other():
    meeting, found = Meeting(4, at_once=2), []
    for number in range(3):  # as segment by segment
        seated(meeting, lambda s, n=number: found.append(meeting.gather(s, "a", (n, s))))
    assert found == [[(n, s) for s in range(4)] for n in range(3) for _ in range(4)]


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("which", [1, 2, 3])
@pytest.mark.parametrize("shard", [0, 4])
def test_one_that_is_interrupted_in_its_sleep_holds_nobody_up(shard, which, at_once, monkeypatch):
    """In its first sleep it waits to begin, and then for the others."""
    meeting, slept = Meeting(5, at_once), []

    class Turn:
        """A lock by which one sleeper is interrupted, before it is given its turn or just after."""

        def __init__(self):
            self.lock, self.held = threading.Lock(), False
            self.release = self.lock.release

        def acquire(self):
            if self.held and threading.current_thread().name == f"shard {shard}":
                slept.append(self)
                if len(slept) == which:
                    raise KeyboardInterrupt
            self.held = True
            self.lock.acquire()

    monkeypatch.setattr(module, "allocate_lock", Turn)
    raised = seated(meeting, lambda s: [meeting.gather(s, "a", s) for _ in range(4)])
    if len(slept) >= which:  # it may have been the last to come, each time
        assert raised.pop(shard) is KeyboardInterrupt
        assert set(raised.values()) <= {Deserted}  # the others may have come to their end before


def test_adam_and_one_shard_go_the_same_way():
    model = trained(NETWORKS["plain"], optimizer=Adam(lr=0.01), shard=22)
    assert model.weights["1_batch_norm"]["mean"].any()


def test_a_run_that_goes_on_has_the_bits_of_one_that_never_stopped():
    """Running statistics and the weights of layers with a rate of their own among them."""
    layers = [CONV, "batch_norm", "relu", {**HEAD, "lr_scale": 0.5, "weight_decay": 0.01}]
    x, y = data()

    def trainer(epochs):
        model = Model.build(layers, (2, 6, 5), dtype="float64")
        optimizer = Sgd(lr=0.05, momentum=0.9)
        return Trainer(model, CrossEntropy(), optimizer, epochs=epochs, batch=22, shard=5)

    whole, first, second = trainer(2), trainer(1), trainer(2)
    whole.fit(x, y)
    first.fit(x, y)
    second.restore(flatten(first.model.weights), first.optimizer_state, first.position)
    second.fit(x, y)
    one, two = (flatten(each.model.weights) for each in (whole, second))
    assert all(np.array_equal(one[path], two[path]) for path in one)
