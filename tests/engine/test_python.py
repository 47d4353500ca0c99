"""Training from Python objects alone, and looking at what the layers give."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit import Model
from cnnkit.base import Context
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import DataError, ShapeError
from cnnkit.layers import Conv, Pool, Relu, Residual, Softmax
from cnnkit.losses import CrossEntropy
from cnnkit.optimizers import Sgd
from cnnkit.schedules import Step
from cnnkit.transforms import Scale

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (20, 1, 6, 6), np.uint8)
Y = np.arange(20) % 3
WHOLE = "expected 20 whole numbers, one an image"
LAYERS = [
    Conv(filters=2, kernel=3, padding="same"),
    "relu",
    Pool(),
    Residual(body=[Relu(), Conv(filters=2, kernel=1)]),
    Softmax(units=3),
]


def build(**more):
    return Model.build(LAYERS, (1, 6, 6), transforms=[Scale()], dtype="float64", **more)


def test_a_model_is_trained_with_nothing_on_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = build()
    records = Trainer(model, CrossEntropy(), Sgd(lr=0.5), epochs=30, batch=10).fit(X, Y, (X, Y))
    assert [record.epoch for record in records] == list(range(1, 31))
    assert records[-1].train_loss < records[0].train_loss / 2
    assert set(records[-1].validation) == {"loss"}
    assert model.classes == ("0", "1", "2")
    assert list(tmp_path.iterdir()) == []


def test_a_schedule_may_be_given_beside_the_optimizer():
    trainer = Trainer(
        build(), CrossEntropy(), Sgd(lr=1.0), schedule=Step(every=1), epochs=2, batch=20
    )
    assert [record.lr for record in trainer.fit(X, Y)] == pytest.approx([1.0, 0.1])


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X, Y[:5], "labels are of dtype int64 and shape (5,); " + WHOLE),
        (X, Y / 1, f"labels are of dtype float64 and shape (20,); {WHOLE}; y.astype(int), perhaps"),
        (
            X, (Y / 1)[:, None],
            f"labels are of dtype float64 and shape (20, 1); {WHOLE}; "
            "y.ravel() and y.astype(int), perhaps",
        ),
        (
            X, np.eye(3)[Y],
            f"labels are of dtype float64 and shape (20, 3); {WHOLE}; y.argmax(axis=1), perhaps",
        ),
        (
            X, Y + 1,
            "labels are 1 to 3; expected 0 to 2, as the model has 3 classes; y - 1, perhaps",
        ),
        (X, Y - 1, "labels are -1 to 1; expected 0 to 2, as the model has 3 classes"),
        (X[:0], Y[:0], "labels are none at all; expected 0 to 2, as the model has 3 classes"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(x, y, said):
    with pytest.raises(DataError) as caught:
        Trainer(build(), CrossEntropy(), Sgd(lr=0.1)).fit(x, y)
    assert str(caught.value) == said


def test_a_loss_that_cannot_judge_the_network_is_refused():
    model = Model.build(["relu", Conv(filters=2, kernel=3)], (1, 6, 6))
    with pytest.raises(ShapeError, match="which cross_entropy cannot compare with 2 classes"):
        Trainer(model, CrossEntropy(), Sgd(lr=0.1))


def test_activations_are_what_each_layer_gives_in_the_order_of_the_spec():
    model = build()
    found = model.activations(X)
    assert list(found) == [
        "0_conv", "1_relu", "2_pool", "3_residual/0_relu", "3_residual/1_conv", "3_residual",
        "4_softmax/0_dense", "4_softmax/1_softmax", "4_softmax",
    ]  # fmt: skip
    x = X / 255 - 0.5
    for name, layer in zip(model.network.names, model.network.layers, strict=True):
        x, _ = layer.forward(x, model.weights.get(name, {}), Context(path=name))
        np.testing.assert_allclose(found[name], x, rtol=0, atol=1e-12)
    assert np.array_equal(found["4_softmax"], model.predict(X))


def test_activations_of_chosen_layers():
    model = build()
    found = model.activations(X[:2], ["3_residual/1_conv", "1_relu"])
    assert {path: y.shape for path, y in found.items()} == {
        "1_relu": (2, 2, 6, 6),
        "3_residual/1_conv": (2, 2, 3, 3),
    }
    with pytest.raises(DataError, match="the model has no layer '9_relu'; expected 0_conv, 1_relu"):
        model.activations(X, ["9_relu"])
