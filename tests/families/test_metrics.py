"""Metrics against a loop over samples, hand-counted cases, and scikit-learn where installed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnnkit.metrics import Accuracy, Confusion, MacroF1


def slow(y, labels, classes):
    """Return accuracy, macro-F1 and the confusion matrix, counted a sample at a time."""
    table = [[0] * classes for _ in range(classes)]
    for row, label in zip(y.tolist(), labels.tolist(), strict=True):
        guess = int(row[0] > 0.5) if len(row) == 1 else row.index(max(row))
        table[label][guess] += 1
    scores = []
    for k in range(classes):
        true, predicted = sum(table[k]), sum(table[j][k] for j in range(classes))
        if true == predicted == 0:  # it does not occur
            continue
        if table[k][k] == 0:
            scores.append(0.0)
            continue
        precision, recall = table[k][k] / predicted, table[k][k] / true
        scores.append(2 * precision * recall / (precision + recall))
    right = sum(table[k][k] for k in range(classes))
    return right / len(labels), sum(scores) / len(scores), table


def draw(classes, outputs, N=300, seed=0):
    """Return outputs that are right about half the time, and labels as bytes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, N).astype(np.uint8)
    y = rng.random((N, outputs)).astype(np.float32)
    if outputs == 1:
        y[:, 0] = 0.6 * y[:, 0] + 0.4 * labels
    else:
        y[np.arange(N), labels] += 0.5
    return y, labels


CASES = [(2, 1), (2, 2), (3, 3), (10, 10), (100, 100)]  # 100 * 100 does not fit the labels' bytes


@pytest.mark.parametrize(("classes", "outputs"), CASES)
def test_against_a_loop(classes, outputs):
    y, labels = draw(classes, outputs)
    accuracy, f1, table = slow(y, labels, classes)
    assert Accuracy().evaluate(y, labels, classes) == accuracy
    assert MacroF1().evaluate(y, labels, classes) == pytest.approx(f1, abs=1e-14)
    assert Confusion().evaluate(y, labels, classes) == table
    assert 0.3 < accuracy < 0.95


@pytest.mark.parametrize(("classes", "outputs"), CASES)
def test_against_scikit_learn(classes, outputs):
    sklearn = pytest.importorskip("sklearn.metrics")
    y, labels = draw(classes, outputs, seed=1)
    guess = (y[:, 0] > 0.5).astype(int) if outputs == 1 else y.argmax(axis=1)
    names = list(range(classes))  # of the table; f1 is over those that occur
    f1 = sklearn.f1_score(labels, guess, average="macro", zero_division=0)
    table = sklearn.confusion_matrix(labels, guess, labels=names)
    assert Accuracy().evaluate(y, labels, classes) == sklearn.accuracy_score(labels, guess)
    assert MacroF1().evaluate(y, labels, classes) == pytest.approx(f1, abs=1e-14)
    assert Confusion().evaluate(y, labels, classes) == table.tolist()


def test_by_hand():
    """True 0 0 0 1 1 2, taken for 0 0 1 1 0 0; class 3 never occurs.

    Class 0: precision 2/4, recall 2/3, F1 4/7. Class 1: 1/2, 1/2, 1/2. Class 2 is never predicted:
    0. Class 3 does not occur, and does not count.
    """
    y, labels = np.eye(4)[[0, 0, 1, 1, 0, 0]], np.array([0, 0, 0, 1, 1, 2])
    assert Accuracy().evaluate(y, labels, 4) == 0.5
    assert MacroF1().evaluate(y, labels, 4) == pytest.approx((4 / 7 + 1 / 2) / 3)
    table = [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert Confusion().evaluate(y, labels, 4) == table


def test_one_output_counts_as_class_1_above_a_half_only():
    y, labels = np.array([[0.2], [0.5], [0.51], [0.9]]), np.array([0, 0, 0, 1])
    assert Confusion().evaluate(y, labels, 2) == [[2, 1], [0, 1]]


@pytest.mark.parametrize("metric", [Accuracy(), MacroF1(), Confusion()], ids=lambda m: m.type)
def test_figures_go_into_json(metric):
    figure = metric.evaluate(*draw(3, 3), 3)
    assert json.loads(json.dumps(figure)) == figure
