"""Training as a whole: it learns, its bits are its own, and its gradients are the batch's."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pytest

import cnnkit
from cnnkit.arrays import Arena, FlatLayout, Weights, flatten
from cnnkit.base import Context, DataPaths, Layer, Split, forward_chain
from cnnkit.base.weight import draw
from cnnkit.datasets import Digits
from cnnkit.engine.step import Batch, Gradients
from cnnkit.errors import ShapeError, TrainingError
from cnnkit.files.tensors import digest
from cnnkit.layers import Conv, Dense, Dropout, Pool, Relu, Residual, Sequential, Sigmoid, Softmax
from cnnkit.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError, cnnkit_losses
from cnnkit.model import Model
from cnnkit.optimizers import Adam, Sgd
from cnnkit.plan import make_plan
from cnnkit.runs.session import trainer_of
from cnnkit.specfile.runspec import RunSpec
from cnnkit.workers import Threads

SGD = {"type": "sgd", "lr": 0.05, "momentum": 0.9}
SMALL = [
    Conv(filters=4, kernel=3, padding="same"),
    Relu(),
    Residual(body=[Conv(filters=4, kernel=3, padding="same"), Dropout(rate=0.3)]),
    Pool(size=2),
    Dropout(rate=0.25),
    Dense(units=12),
    Relu(),
    Softmax(units=10),
]


class Centre(Layer):
    """Subtract the batch's mean: what one sample gives depends on all the others."""

    type: Literal["centre"] = "centre"
    couples_batch: ClassVar[bool] = True

    def forward(self, x, w, ctx):
        return x - x.mean(axis=0), lambda dy: (dy - dy.mean(axis=0), {})


class Spy(Layer):
    """Notes the first number of every image it sees."""

    type: Literal["spy"] = "spy"
    seen: ClassVar[list[list[float]]] = []

    def forward(self, x, w, ctx):
        if ctx.training:
            self.seen.append(x.reshape(len(x), -1)[:, 0].tolist())
        return x, lambda dy: (dy, {})


class Spoil(Layer):
    """Turns every value into infinity, or the largest number before it."""

    type: Literal["spoil"] = "spoil"
    finite: bool = False

    def forward(self, x, w, ctx):
        y = np.full_like(x, np.finfo(x.dtype).max if self.finite else np.inf)
        return y, lambda dy: (dy, {})


class WholeSgd(Sgd):
    """SGD that says it must see whole arrays."""

    elementwise: ClassVar[bool] = False


class WholeAdam(Adam):
    """Adam that says it must see whole arrays."""

    elementwise: ClassVar[bool] = False


class Unfused(CrossEntropy):
    """Cross-entropy that keeps to itself."""

    def fuse(self, head):
        return None


class UnfusedBinary(BinaryCrossEntropy):
    """Binary cross-entropy that keeps to itself."""

    def fuse(self, head):
        return None


class Backwards(Threads):
    """Runs the jobs one after the other, last first."""

    def run(self, jobs, job, *, together=False):
        for number in reversed(range(jobs)):
            job(number, self._arenas[0])


class Poison(Arena):
    """An arena whose memory is never what somebody hopes it still is."""

    def empty(self, shape, dtype=np.float32):
        return poisoned(super().empty(shape, dtype))

    def temp(self, name, shape, dtype=np.float32):
        return poisoned(super().temp(name, shape, dtype))


def poisoned(array):
    array.fill(np.nan if array.dtype.kind == "f" else 1)
    return array


def make_spec(layers, loss: Any = "cross_entropy", optimizer: Any = SGD, **train) -> RunSpec:
    dtype = train.pop("dtype", "float64")
    return RunSpec.model_validate(
        {
            "name": "test",
            "seed": train.pop("seed", 0),
            "data": "digits",
            "model": {"layers": layers, "dtype": dtype},
            "loss": loss,
            "optimizer": optimizer,
            "train": train,
            "metrics": ["accuracy"],
        }
    )


def digits(count):
    """Return the first `count` training digits, float64 in [-0.5, 0.5]."""
    train = Digits().load(DataPaths()).train
    return Split(train.images[:count] / 255 - 0.5, train.labels[:count])


def noise(count, shape=(2, 6, 6), classes=5, seed=0):
    rng = np.random.default_rng(seed)
    return Split(rng.standard_normal((count, *shape)), np.arange(count) % classes)


def build(spec, split) -> Model:
    shape = split.images.shape[1:]
    return Model.build(spec.model.layers, shape, seed=spec.seed, dtype=spec.model.dtype)


def train(spec, split, threads=1, validation=None):
    """Return the trained model and the epochs' records."""
    model = build(spec, split)
    with Threads(threads) as pool:
        records = list(trainer_of(spec, model, pool).run(split, validation))
    return model, records


def sha(model):
    return digest(flatten(model.weights))


def gradients(spec, model, split, *, shard, rows=None, pool=None, key=(0, 0, 0)):
    """Return the mean loss and the summed gradients of one batch, from the engine."""
    plan = make_plan(model.network, spec.loss)
    weights = flatten(model.weights)
    layout = FlatLayout({path: w.shape for path, w in weights.items()})
    rows = np.arange(len(split)) if rows is None else rows
    batch = Batch(split, rows, key, shard, (), model.dtype)
    with pool or Threads(1) as workers:
        parts = Gradients(plan, model.weights, layout).compute(batch, workers)
        total = {path: sum(part.get(path, 0) for part in parts) for path in weights}
    return sum(batch.losses) / len(rows), total


def directly(spec, model, split, rows=None):
    """Return the mean loss and the gradients by one pass over the whole batch, nothing fused."""
    rows = np.arange(len(split)) if rows is None else rows
    x, labels = split.images[rows], split.labels[rows]
    y, back = forward_chain(model.network.steps, x, model.weights, Context(training=True))
    losses, slope = type(spec.loss).forward(spec.loss, y, labels)
    _, grads = back(slope() / len(rows))
    return losses.mean(), flatten(grads)


def assert_close(got, wanted, bound):
    assert got.keys() == wanted.keys()
    for path, array in wanted.items():
        np.testing.assert_allclose(got[path], array, rtol=0, atol=bound, err_msg=path)


# --- it learns ----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [SGD, {"type": "adam", "lr": 0.01}], ids=["sgd", "adam"])
def test_32_samples_are_learned_by_heart(optimizer):
    layers = [layer for layer in SMALL if layer.type not in ("dropout", "residual")]
    spec = make_spec(layers, optimizer=optimizer, epochs=80, batch=8, dtype="float32")
    split = digits(32)
    _, records = train(spec, split, validation=split)
    assert records[0].train_loss > 1
    assert records[-1].train_loss < 5e-3
    assert records[-1].validation["accuracy"] == 1
    assert records[-1].validation["loss"] < 5e-3


def test_regression_on_labels_is_learned_too():
    spec = make_spec(
        [Dense(units=16), Sigmoid(), Dense(units=5)],
        loss="mean_squared_error",
        optimizer={"type": "adam", "lr": 0.02},
        epochs=150,
        batch=10,
    )
    _, records = train(spec, noise(20))
    assert records[-1].train_loss < 1e-3


# --- its bits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [32, 128])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_for_any_number_of_threads_and_twice(batch, dtype):
    spec = make_spec(SMALL, epochs=2, batch=batch, dtype=dtype)
    split, validation = digits(300), digits(40)
    runs = [train(spec, split, threads, validation) for threads in (1, 1, 2, 4)]
    assert len({sha(model) for model, _ in runs}) == 1
    assert len({tuple(r.train_loss for r in records) for _, records in runs}) == 1
    assert len({tuple(r.validation["loss"] for r in records) for _, records in runs}) == 1
    assert sha(runs[0][0]) != sha(build(spec, split)), "nothing was trained"


def test_the_same_bits_for_any_number_of_threads_where_samples_meet():
    layers = [*SMALL[:3], Centre(), *SMALL[3:6], Centre(), *SMALL[6:]]
    spec = make_spec(layers, optimizer="adam", epochs=1, batch=64, dtype="float32")
    assert len({sha(train(spec, digits(150), threads)[0]) for threads in (1, 2, 4)}) == 1


def test_another_seed_gives_other_bits():
    split = digits(64)
    one, two = (train(make_spec(SMALL, epochs=1, seed=s), split)[0] for s in (0, 1))
    assert sha(one) != sha(two)


def test_dropout_differs_from_step_to_step_and_from_shard_to_shard():
    spec = make_spec([Dense(units=50), Dropout(), Dense(units=5), Softmax()])
    model, split = build(spec, noise(1)), noise(1)
    twice = Split(split.images.repeat(2, 0), split.labels.repeat(2))
    one, _ = gradients(spec, model, twice, shard=2)
    losses = {one}
    for key in [(0, 0, 1), (0, 1, 0), (1, 0, 0)]:
        losses.add(gradients(spec, model, twice, shard=2, key=key)[0])
    losses.add(gradients(spec, model, twice, shard=1)[0])
    assert len(losses) == 5


@pytest.mark.parametrize("layers", [SMALL, [Centre(), *SMALL]], ids=["apart", "together"])
def test_the_order_in_which_shards_run_does_not_matter(layers):
    spec = make_spec(layers)
    split = digits(37)
    model = build(spec, split)
    wanted = gradients(spec, model, split, shard=8)
    for pool in (Backwards(1), Threads(3)):
        got = gradients(spec, model, split, shard=8, pool=pool)
        assert got[0] == wanted[0]
        assert_close(got[1], wanted[1], 0)


@pytest.mark.parametrize("layers", [SMALL, [*SMALL[:4], Centre(), *SMALL[4:]]],
                         ids=["apart", "together"])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nobody_reads_what_an_arena_still_holds(layers, dtype, monkeypatch):
    """Memory full of NaN at every request gives the same bits, and so does memory that the
    larger batch before has used."""
    spec = make_spec(layers, dtype=dtype)
    split = digits(50)
    model = build(spec, split)
    rows = [np.arange(50), np.arange(7), np.arange(33)]
    fresh = [gradients(spec, model, split, shard=16, rows=r) for r in rows]

    monkeypatch.setattr("cnnkit.engine.step.Arena", Poison)
    pool = Threads(1)
    pool._arenas = [Poison()]
    again = []
    with pool:
        plan, weights = make_plan(model.network, spec.loss), flatten(model.weights)
        layout = FlatLayout({path: w.shape for path, w in weights.items()})
        reused = Gradients(plan, model.weights, layout)
        for r in rows:
            batch = Batch(split, r, (0, 0, 0), 16, (), model.dtype)
            parts = reused.compute(batch, pool)
            total = {path: sum(part[path] for part in parts) for path in weights}
            again.append((sum(batch.losses) / len(r), total))
    for (loss, grads), (wanted_loss, wanted) in zip(again, fresh, strict=True):
        assert loss == wanted_loss
        assert_close(grads, wanted, 0)


# --- its gradients ------------------------------------------------------------------------------

COUPLED = {
    "first": [Centre(), Dense(units=7), Softmax(units=5)],
    "middle": [Conv(filters=3, kernel=3), Centre(), Relu(), Dense(units=7), Softmax(units=5)],
    "last": [Dense(units=7), Relu(), Dense(units=5), Centre(), Softmax()],
    "two": [
        Conv(filters=3, kernel=3),
        Centre(),
        Relu(),
        Dense(units=7),
        Centre(),
        Softmax(units=5),
    ],
    "side by side": [Conv(filters=3, kernel=3), Centre(), Centre(), Softmax(units=5)],
    "inside": [
        Conv(filters=2, kernel=3, padding="same"),
        Residual(body=[Conv(filters=2, kernel=3, padding="same"), Centre()]),
        Sequential(layers=[Relu(), Dense(units=7)]),
        Softmax(units=5),
    ],
}


@pytest.mark.parametrize("name", COUPLED)
@pytest.mark.parametrize("shard", [1, 4, 11, 99])
def test_a_layer_that_couples_the_batch_sees_all_of_it(name, shard):
    spec = make_spec(COUPLED[name], loss=Unfused())
    split = noise(11)
    model = build(spec, split)
    loss, grads = directly(spec, model, split)
    for chosen in (spec, make_spec(COUPLED[name])):
        with Threads(2) as pool:
            got_loss, got = gradients(chosen, model, split, shard=shard, pool=pool)
        assert got_loss == pytest.approx(loss, abs=1e-12)
        assert_close(got, grads, 1e-12)


@pytest.mark.parametrize("shard", [1, 3, 8, 9, 50])
def test_shards_add_up_to_the_batch(shard):
    layers = [layer for layer in SMALL if layer.type not in ("dropout", "residual")]
    layers.insert(2, Residual(body=[Relu(), Conv(filters=4, kernel=1)]))
    spec, split = make_spec(layers), digits(9)
    model = build(spec, split)
    loss, grads = directly(spec, model, split)
    got_loss, got = gradients(spec, model, split, shard=shard)
    assert got_loss == pytest.approx(loss, abs=1e-12)
    assert_close(got, grads, 1e-12)


@pytest.mark.parametrize(
    ("head", "fused", "unfused"),
    [
        ([Softmax(units=5)], CrossEntropy(), Unfused()),
        ([Dense(units=5), Softmax()], CrossEntropy(), Unfused()),
        (
            [Sequential(layers=[Dense(units=6), Relu(), Sequential(layers=[Softmax(units=5)])])],
            CrossEntropy(),
            Unfused(),
        ),
        (
            [Softmax(units=5)],
            CrossEntropy(label_smoothing=0.1),
            Unfused(label_smoothing=0.1),
        ),
        ([Sigmoid(units=5)], BinaryCrossEntropy(), UnfusedBinary()),
        ([Sigmoid(units=1)], BinaryCrossEntropy(), UnfusedBinary()),
    ],
)
def test_fused_equals_unfused(head, fused, unfused):
    split = noise(12, classes=2 if head[-1].output_shape((9,)) == (1,) else 5)
    results = []
    for loss in (fused, unfused):
        spec = make_spec([Dense(units=8), Relu(), *head], loss=loss, epochs=2, batch=4)
        assert (make_plan(build(spec, split).network, loss).head is not None) == (loss is fused)
        model, records = train(spec, split, validation=split)
        figures = [(r.train_loss, r.validation["loss"], r.validation["accuracy"]) for r in records]
        results.append((figures, flatten(model.weights)))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=0, atol=1e-12)
    assert_close(results[0][1], results[1][1], 1e-12)


HEADS = {
    "softmax": [Softmax(units=4)],
    "sigmoid": [Sigmoid(units=4)],
    "one sigmoid": [Sigmoid(units=1)],
    "dense": [Dense(units=4)],
    "one dense": [Dense(units=1)],
    "relu": [Dense(units=4), Relu()],
    "softmax after softmax": [Softmax(units=4), Softmax()],
    "sigmoid after residual": [Dense(units=4), Residual(body=[Dense(units=4)]), Sigmoid()],
    "dropped": [Dense(units=4), Dropout(rate=0.5)],
}


def pairs():
    """Return every (head, loss) that the loss itself accepts."""
    for name, head in HEADS.items():
        shape = head[-1].output_shape((4,))
        for cls in cnnkit_losses():
            loss, classes = cls(), 2 if shape == (1,) else 4
            try:
                loss.check(head[-1], shape, classes)
            except ShapeError:
                continue
            yield pytest.param(head, loss, classes, id=f"{name}-{loss.type}")


def test_most_pairs_are_accepted():
    assert len(list(pairs())) >= 14


@pytest.mark.parametrize(("head", "loss", "classes"), list(pairs()))
def test_every_head_and_loss_compose(head, loss, classes):
    """The engine's gradients against central differences along random directions."""
    spec = make_spec([Dense(units=6), Sigmoid(), *head], loss=loss)
    split = noise(5, classes=classes)
    model = build(spec, split)
    weights = flatten(model.weights)
    rng = np.random.default_rng(1)
    for w in weights.values():
        w += 0.3 * rng.standard_normal(w.shape)
    _, grads = gradients(spec, model, split, shard=2)
    for path, w in weights.items():
        start, step = w.copy(), rng.standard_normal(w.shape)
        ends = []
        for t in (1e-5, -1e-5):
            w[...] = start + t * step
            ends.append(gradients(spec, model, split, shard=2)[0])
        w[...] = start
        numeric = (ends[0] - ends[1]) / 2e-5
        assert (grads[path] * step).sum() == pytest.approx(numeric, abs=2e-8, rel=1e-7), path


@pytest.mark.parametrize(
    "first",
    [
        Conv(filters=3, kernel=3),
        Conv(filters=3, kernel=3, padding="same", bias="untied"),
        Conv(filters=4, kernel=3, stride=2, groups=2, dilation=2, padding=2),
        Conv(filters=3, kernel=1, bias="none"),
        Dense(units=4),
        Dense(units=4, bias="none"),
        Sequential(layers=[Relu(), Conv(filters=3, kernel=2), Conv(filters=2, kernel=2)]),
        Residual(body=[Conv(filters=2, kernel=3, padding="same")]),
        Residual(
            body=[Conv(filters=3, kernel=1)],
            shortcut=[Relu(), Conv(filters=3, kernel=1), Conv(filters=3, kernel=1)],
        ),
        Residual(body=[Residual(body=[Conv(filters=2, kernel=1)]), Conv(filters=2, kernel=1)]),
    ],
)
@pytest.mark.parametrize("N", [1, 3])
def test_what_nobody_wants_does_not_change_the_rest(first, N):
    steps = [("0_first", first.lower()), ("1_dense", Dense(units=3))]
    x = noise(N).images
    weights: Weights = {}
    for name, layer in steps:
        shape = (2, 6, 6) if name == "0_first" else first.output_shape((2, 6, 6))
        weights[name] = draw(layer.weights(shape), np.random.default_rng(1), np.float64)
    grads = []
    for wants_dx in (True, False):
        y, back = forward_chain(steps, x, weights, Context(training=True, wants_dx=wants_dx))
        grads.append(flatten(back(np.cos(np.arange(y.size)).reshape(y.shape))[1]))
    assert_close(grads[0], grads[1], 1e-12)
    assert grads[0].keys() == flatten(weights).keys()


@pytest.mark.parametrize("start", [
    [Relu()], [Pool(size=2)], [Dropout(rate=0.0), Relu()], [Residual(body=[Relu()])],
    [Sequential(layers=[Pool(size=2), Relu()])],
])  # fmt: skip
@pytest.mark.parametrize("learner", [Conv(filters=3, kernel=3), Dense(units=4)])
def test_a_network_may_start_with_layers_that_do_not_learn(start, learner):
    """Nobody wants dx where the first learning layer stands, nor before it."""
    spec = make_spec([*start, learner, Softmax(units=5)], loss=Unfused(), epochs=1, batch=4)
    split = noise(9)
    model = build(spec, split)
    loss, grads = directly(spec, model, split)
    got_loss, got = gradients(spec, model, split, shard=4)
    assert got_loss == pytest.approx(loss, abs=1e-12)
    assert_close(got, grads, 1e-12)
    train(spec, split)


# --- its batches --------------------------------------------------------------------------------


@pytest.mark.parametrize("shard", [None, 1, 3])
def test_the_last_short_batch_counts_for_its_real_size(shard):
    """Ten samples in batches of 4, 4 and 2: each step follows the mean over its own samples."""
    layers = [Dense(units=6), Sigmoid(), Softmax(units=5)]
    options = {"optimizer": {"type": "sgd", "lr": 0.5}, "epochs": 1, "batch": 4, "shuffle": "none"}
    spec = make_spec(layers, loss=Unfused(), shard=shard, **options)
    split = noise(10)
    by_hand = build(spec, split)
    losses = []
    for rows in (np.arange(4), np.arange(4, 8), np.arange(8, 10)):
        loss, grads = directly(spec, by_hand, split, rows)
        losses += [loss] * len(rows)
        for path, w in flatten(by_hand.weights).items():
            w -= 0.5 * grads[path]
    model, (record,) = train(spec, split)
    assert record.train_loss == pytest.approx(np.mean(losses), abs=1e-12)
    assert_close(flatten(model.weights), flatten(by_hand.weights), 1e-12)


@pytest.mark.parametrize("shuffle", ["epoch", "once", "none"])
def test_orders_of_shuffling(shuffle):
    images = np.arange(10.0).reshape(10, 1, 1, 1)
    split = Split(images, np.zeros(10, np.int64))
    spec = make_spec([Spy(), Softmax(units=2)], epochs=3, batch=4, shard=4, shuffle=shuffle)
    model = build(spec, split)
    with Threads(1) as pool:
        trainer = trainer_of(spec, model, pool)
        Spy.seen.clear()
        list(trainer.run(split, None))
    assert [len(batch) for batch in Spy.seen] == [4, 4, 2] * 3
    flat = [value for batch in Spy.seen for value in batch]
    epochs = [flat[:10], flat[10:20], flat[20:]]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs), "each sample once an epoch"
    if shuffle == "none":
        assert epochs == [list(range(10))] * 3
    elif shuffle == "once":
        assert epochs[0] == epochs[1] == epochs[2] != list(range(10))
    else:
        assert list(range(10)) not in epochs
        assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.mark.parametrize(("whole", "sliced"), [
    (WholeSgd(lr=0.05, momentum=0.9, weight_decay=0.01),
     Sgd(lr=0.05, momentum=0.9, weight_decay=0.01)),
    (WholeAdam(lr=0.01), Adam(lr=0.01)),
])  # fmt: skip
@pytest.mark.parametrize("batch", [1, 8, 40])
def test_whole_arrays_and_slices_are_updated_alike(whole, sliced, batch):
    layers = [Dense(units=300), Relu(), Dense(units=300), Relu(), Softmax(units=10)]
    models = []
    for optimizer in (whole, sliced):
        spec = make_spec(layers, optimizer=optimizer, epochs=1, batch=batch, dtype="float32")
        models.append(train(spec, digits(min(5 * batch, 60)), threads=2)[0])
    one, two = (flatten(model.weights) for model in models)
    assert_close(one, two, 0)


# --- where it goes wrong ------------------------------------------------------------------------

ADVICE = "lower the learning rate, or add a warm-up to its schedule"


def failure(spec, split, spoil=lambda model: None):
    model = build(spec, split)
    with Threads(1) as pool, np.errstate(all="ignore"):
        trainer = trainer_of(spec, model, pool)
        spoil(model)
        with pytest.raises(TrainingError) as caught:
            list(trainer.run(split, None))
    return str(caught.value)


def test_images_that_are_not_finite_are_blamed():
    split = noise(12)
    split.images[6, 1, 2, 3] = np.nan
    spec = make_spec([Dense(units=4), Softmax(units=5)], epochs=2, batch=4, shuffle="none")
    assert failure(spec, split) == (
        "the loss is not finite at epoch 1, step 2: image 6 of the training split is not finite as "
        "it enters the first layer; check the data and the transforms"
    )


def test_a_weight_that_diverged_is_blamed():
    def spoil(model):
        flatten(model.weights)["1_softmax/0_dense/b"][2] = np.inf

    spec = make_spec([Dense(units=4), Softmax(units=5)], batch=4)
    assert failure(spec, noise(12), spoil) == (
        "the loss is not finite at epoch 1, step 1: weight 1_softmax/0_dense/b of "
        f"layer 2 (softmax) has diverged; {ADVICE}"
    )


def test_a_layer_that_overflows_is_blamed():
    spec = make_spec([Dense(units=4), Spoil(), Relu(), Softmax(units=5)], batch=4)
    assert failure(spec, noise(12)) == (
        "the loss is not finite at epoch 1, step 1: layer 2 (spoil of module "
        f"{Spoil.__module__}) is the first to give values that are not finite (images 9, 1, 2 "
        "and 1 more of the training split, from values of -1.92 to 3.36); if it should take these, "
        f"this is a fault of the layer; else {ADVICE}"
    )


def test_a_last_step_that_diverges_is_not_called_done():
    optimizer = {"type": "sgd", "lr": 1e308}
    spec = make_spec([Dense(units=4), Softmax(units=5)], optimizer=optimizer, batch=12)
    split = noise(12)
    split.images[:] *= 1e3
    assert failure(spec, split) == (
        "training failed at the last step of epoch 1: weight 0_dense/W of layer 1 (dense) has "
        f"diverged; {ADVICE}"
    )


def test_a_loss_that_is_not_finite_in_evaluation_only():
    spec = make_spec([Dense(units=4), Softmax(units=5)], batch=12)
    split, others = noise(12), noise(7)
    others.images[:] = np.nan
    with Threads(1) as pool, pytest.raises(TrainingError) as caught:
        list(trainer_of(spec, build(spec, split), pool).run(split, others))
    assert str(caught.value) == (
        "the loss is not finite for 7 images outside the training split: images 0, 1, 2 and 4 more "
        "of these are not finite as they enter the first layer; check the data and the transforms"
    )


def test_a_loss_that_overflows_is_blamed_on_no_layer():
    layers = [Dense(units=5), Spoil(finite=True)]
    spec = make_spec(layers, loss=MeanSquaredError(), batch=4)
    assert failure(spec, noise(12)) == (
        "the loss is not finite at epoch 1, step 1, though every layer's output is; " + ADVICE
    )


def test_a_learning_rate_far_too_high_ends_in_an_error_that_names_epoch_and_step():
    spec = make_spec(
        [Dense(units=20), Dense(units=5)],
        loss="mean_squared_error",
        optimizer={"type": "sgd", "lr": 1e6},
        epochs=50,
        batch=6,
    )
    text = failure(spec, noise(12))
    assert text.startswith("the loss is not finite at epoch ")
    assert text.endswith(ADVICE)
    assert TrainingError.exit_code == 1


def test_a_path_is_no_spec():
    with pytest.raises(
        TypeError, match=r"^train takes a spec: write train\(load_spec\('a.toml'\)\)$"
    ):
        cnnkit.train("a.toml")
