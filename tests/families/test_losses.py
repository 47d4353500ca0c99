"""Losses against loops over scalars, numeric gradients, and their fused twins."""

from __future__ import annotations

from math import exp, log, log1p

import numpy as np
import pytest

from cnnkit.arrays import flatten
from cnnkit.base import Context
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import ShapeError
from cnnkit.layers import Relu, Sigmoid, Softmax
from cnnkit.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from cnnkit.model import Model
from cnnkit.optimizers import Sgd

N = 7
CASES = [
    (CrossEntropy(), 4),
    (CrossEntropy(label_smoothing=0.3), 4),
    (CrossEntropy(weights=[0.5, 2.0, 0.0, 1.0]), 4),
    (CrossEntropy(label_smoothing=0.3, weights=[0.5, 2.0, 0.0, 1.0]), 4),
    (BinaryCrossEntropy(), 1),
    (BinaryCrossEntropy(), 4),
    (MeanSquaredError(), 1),
    (MeanSquaredError(), 4),
]
BEHIND = [
    (loss, K, head)
    for loss, K in CASES
    for head in (Relu(), Sigmoid(), Softmax())
    if head.type != "relu" or loss.type == "mean_squared_error"  # the others take a log
]


def draw(K, seed=0, dtype=np.float64):
    """Return numbers (N, K) and labels that fit them."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 2, (N, K)).astype(dtype), rng.integers(0, max(K, 2), N).astype(np.uint8)


def wanted(labels, K, n, k):
    return float(labels[n]) if K == 1 else float(labels[n] == k)


def slow(loss, y, labels):
    """The formulas, a scalar at a time."""
    losses = []
    for n, row in enumerate(y.tolist()):
        total, K = 0.0, len(row)
        for k, p in enumerate(row):
            t = wanted(labels, K, n, k)
            if loss.type == "cross_entropy":
                s = loss.label_smoothing
                w = loss.weights[k] if loss.weights else 1.0
                total -= w * ((1 - s) * t + s / K) * log(p)
            elif loss.type == "binary_cross_entropy":
                total -= (t * log(p) + (1 - t) * log1p(-p)) / K
            else:
                total += (p - t) ** 2 / K
        losses.append(total)
    return losses


@pytest.mark.parametrize(("loss", "K"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_match_a_loop_and_the_inputs_stay(loss, K, dtype):
    z, labels = draw(K, dtype=dtype)
    y = 1 / (1 + np.exp(-z))
    before, bound = (y.copy(), labels.copy()), 1e-5 if dtype == np.float32 else 1e-12
    losses, slope = loss.forward(y, labels)
    dy = slope()
    np.testing.assert_allclose(losses, slow(loss, y, labels), rtol=bound)
    assert (losses.shape, dy.shape) == ((N,), (N, K))
    assert losses.dtype == dy.dtype == dtype
    assert np.array_equal(y, before[0])
    assert np.array_equal(labels, before[1])


@pytest.mark.parametrize(("loss", "K", "head"), BEHIND)
def test_the_gradient_is_right_behind_every_head(loss, K, head):
    """d(sum of losses)/dx through loss and head, against central differences of each x."""
    x, labels = draw(K, seed=1)

    def total(x):
        return loss.forward(head.forward(x, {}, Context())[0], labels)[0].sum()

    y, backward = head.forward(x, {}, Context())
    dx = backward(loss.forward(y, labels)[1]())[0]
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = 1e-6
        numeric = (total(x + step) - total(x - step)) / 2e-6
        assert dx[place] == pytest.approx(numeric, abs=2e-8)


FUSABLE = [
    (CrossEntropy(), Softmax(), 4),
    (CrossEntropy(label_smoothing=0.3), Softmax(), 4),
    (BinaryCrossEntropy(), Sigmoid(), 1),
    (BinaryCrossEntropy(), Sigmoid(), 4),
]


@pytest.mark.parametrize(("loss", "head", "K"), FUSABLE)
def test_fused_equals_unfused(loss, head, K):
    z, labels = draw(K, seed=2)
    before = z.copy()
    y, backward = head.forward(z, {}, Context())
    losses, slope = loss.forward(y, labels)
    fused_losses, fused_slope = loss.fuse(head).forward(z, labels)
    np.testing.assert_allclose(fused_losses, losses, rtol=0, atol=1e-12)
    np.testing.assert_allclose(fused_slope(), backward(slope())[0], rtol=0, atol=1e-12)
    assert np.array_equal(z, before)


@pytest.mark.parametrize(("loss", "head", "K"), FUSABLE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_stays_finite_and_exact_at_logit_800(loss, head, K, dtype):
    z = np.array([[800.0, -800.0, 0.0, 3.0]], dtype)[:, :K].repeat(2, axis=0)
    labels = np.array([0, 1])
    losses, slope = loss.fuse(head).forward(z, labels)
    assert losses.dtype == slope().dtype == dtype
    if K == 1:  # a sure "class 1": wrong by 800 for label 0, right for label 1
        np.testing.assert_array_equal(losses, [800, 0])
        np.testing.assert_array_equal(slope(), [[1], [0]])
    elif loss.type == "cross_entropy" and not loss.label_smoothing:
        np.testing.assert_array_equal(losses, [0, 1600])
        np.testing.assert_array_equal(slope(), [[0, 0, 0, 0], [1, -1, 0, 0]])
    elif loss.type == "cross_entropy":  # 0.7 of it, and 0.3 of the mean distance to the top logit
        spread = (0 + 1600 + 800 + 797) / 4 * 0.3
        np.testing.assert_allclose(losses, [spread, 1120 + spread], rtol=1e-6)
        assert np.isfinite(slope()).all()
    else:
        soft = (log(2) + log1p(exp(3))) / 4
        np.testing.assert_allclose(losses, [soft, 400 + soft], rtol=1e-6)
        assert np.isfinite(slope()).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("loss", "K"), CASES)
def test_an_output_of_exactly_0_or_1_gives_finite_numbers(loss, K, dtype):
    y = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], dtype)[:, :K]
    for labels in ([0, 1], [1, 0]):
        losses, slope = loss.forward(y, np.array(labels))
        assert np.isfinite(losses).all()
        assert np.isfinite(slope()).all()


def test_a_wrong_certain_answer_is_pushed_the_right_way():
    _, slope = CrossEntropy().forward(np.array([[1.0, 0.0]]), np.array([1]))
    assert slope()[0, 1] < 0
    _, slope = BinaryCrossEntropy().forward(np.array([[1.0]]), np.array([0]))
    assert slope()[0, 0] > 0


# --- class weights --------------------------------------------------------------------------------


def test_balanced_weights_come_from_the_labels():
    labels = np.repeat([0, 1, 3], [6, 3, 1])
    fitted = CrossEntropy(weights="balanced").fit(labels, 4)
    assert fitted.weights == [10 / 24, 10 / 12, 1.0, 2.5]
    assert fitted.fit(labels[:3], 4) is fitted
    assert CrossEntropy().fit(labels, 4) == CrossEntropy()


def test_balanced_weights_are_scikit_learns():
    weights = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    labels = np.random.default_rng(0).integers(0, 5, 200)
    wanted = weights("balanced", classes=np.arange(5), y=labels)
    np.testing.assert_allclose(CrossEntropy(weights="balanced").fit(labels, 5).weights, wanted)


def test_a_trainer_fits_the_loss_before_its_first_step():
    """Nine images of class 0 and one of class 1, in a batch, count alike."""
    x, y = np.ones((10, 1, 1, 1)), np.array([0] * 9 + [1])
    model = Model.build([{"type": "softmax", "units": 2, "init": "zeros"}], (1, 1, 1),
                        dtype="float64")  # fmt: skip
    trainer = Trainer(model, CrossEntropy(weights="balanced"), Sgd(lr=1.0), epochs=1, batch=10)
    (epoch,) = trainer.fit(x, y)
    assert epoch.train_loss == pytest.approx(log(2))
    assert all(np.abs(w).max() < 1e-15 for w in flatten(model.weights).values())


def test_weights_for_another_number_of_classes():
    with pytest.raises(ShapeError) as caught:
        CrossEntropy(weights=[1.0, 2.0]).check(Softmax(), (3,), 3)
    assert str(caught.value) == (
        "gives 3 probabilities, but cross_entropy has 2 weights; expected 3 weights, one for each "
        'class; give as many, or weights = "balanced"'
    )
