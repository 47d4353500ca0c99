"""Figures from a confusion matrix, counted by hand."""

from __future__ import annotations

import pytest

from cnnkit.commands.evaluate import confusion_rows, figure_rows, per_class

MATRIX = [[8, 2, 0], [1, 0, 0], [3, 0, 1000]]
CLASSES = ["Shirt", "Coat", "Bag"]


def test_the_worst_pairs_come_first():
    assert list(confusion_rows(MATRIX, CLASSES)) == [
        ("Bag taken for Shirt", "3 of 1,003"),
        ("Shirt taken for Coat", "2 of 10"),
        ("Coat taken for Shirt", "1 of 1"),
    ]
    assert list(confusion_rows(MATRIX, CLASSES, most=1)) == [("Bag taken for Shirt", "3 of 1,003")]


def test_pairs_that_are_equally_bad_keep_their_order():
    assert [pair for pair, _ in confusion_rows([[5, 1, 1], [1, 5, 1], [1, 1, 5]], "abc")] == [
        "a taken for b", "a taken for c", "b taken for a", "b taken for c", "c taken for a",
    ]  # fmt: skip


@pytest.mark.parametrize("matrix", [None, [[4, 0], [0, 4]]])
def test_nothing_to_confuse(matrix):
    assert list(confusion_rows(matrix, ["a", "b"])) == []


def test_every_class():
    shirt, coat, bag = per_class(MATRIX, CLASSES)
    assert shirt == {
        "class": "Shirt", "images": 10,
        "precision": 8 / 12, "recall": 8 / 10, "f1": pytest.approx(2 * 8 / 22),
    }  # fmt: skip
    assert coat == {"class": "Coat", "images": 1, "precision": 0, "recall": 0, "f1": 0}
    assert bag["precision"] == 1


def test_a_class_that_never_occurs_counts_0():
    assert per_class([[1, 0], [0, 0]], ["a", "b"])[1] == {
        "class": "b", "images": 0, "precision": 0, "recall": 0, "f1": 0,
    }  # fmt: skip


def test_figures_in_order():
    test = {"loss": 0.5, "confusion": [[1]], "top_5": 0.25, "macro_f1": 0.75, "accuracy": 1.0}
    assert list(figure_rows(test)) == [
        ("test accuracy", "1.0000"),
        ("macro-F1", "0.7500"),
        ("test top 5", "0.2500"),
        ("test loss", "0.5000"),
    ]
