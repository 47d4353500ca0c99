"""What is said of test images, against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cnnkit.base import Split
from cnnkit.report.judged import (
    Judged,
    class_rows,
    confusion,
    extremes,
    pairs,
    reliability,
)

CLASSES = ["cat", "dog", "cow"]
SHARES = np.array([
    [0.95, 0.03, 0.02],  # cat, right
    [0.10, 0.85, 0.05],  # cat taken for dog
    [0.20, 0.60, 0.20],  # cat taken for dog, less sure
    [0.40, 0.35, 0.25],  # cat, right, hardly
    [0.05, 0.92, 0.03],  # dog, right
    [0.01, 0.02, 0.97],  # dog taken for cow, surest of all mistakes
])  # fmt: skip
LABELS = np.array([0, 0, 0, 0, 1, 1])


@pytest.fixture
def judged():
    split = Split(np.zeros((6, 1, 2, 2), np.uint8), LABELS)
    guesses = SHARES.argmax(axis=1)
    return Judged(split, np.arange(6) * 10, SHARES, guesses, CLASSES, (0, 255))


def test_pairs(judged):
    (first, pictures), (second, _) = pairs(judged)
    assert first == "cat taken for dog: 2 of 4"
    assert [p.caption for p in pictures] == ["85% sure", "60% sure"]
    assert pictures[0].alt == "test image 10: cat, taken for dog"
    assert second == "dog taken for cow: 1 of 2"


def test_extremes(judged):
    (wrong, mistakes), (right, hits) = extremes(judged)
    assert (wrong, right) == ("Wrong, and sure of it", "Right, and hardly sure")
    assert [p.caption for p in mistakes] == [
        "dog, taken for cow, 97% sure", "cat, taken for dog, 85% sure",
        "cat, taken for dog, 60% sure",
    ]  # fmt: skip
    assert [p.caption for p in hits] == ["cat, 40% sure", "dog, 92% sure", "cat, 95% sure"]


def test_reliability(judged):
    """Bins 0.4: 1 of 1 right; 0.6: 0 of 1; 0.8: 0 of 1; 0.9: 2 of 3, whose mean is 0.94667."""
    said, chart, error = reliability(judged)
    assert said == "Where it is at least 90% sure, it is right in 66.7% of 3 images"
    points = [row[:2] for row in chart.rows if row[1] is not None]
    assert points == [[0.4, 1.0], [0.6, 0.0], [0.85, 0.0], [0.9467, 0.6667]]
    gaps = 0.6 * 1 + 0.6 * 1 + 0.85 * 1 + abs(0.946667 - 2 / 3) * 3
    assert error == pytest.approx(gaps / 6, abs=1e-5)


def test_confusion():
    matrix = [[2, 2, 0], [0, 1, 1], [0, 0, 0]]
    found = confusion(matrix, CLASSES)
    assert found["said"] == "cat is taken for dog 2 times of 4"
    assert found["rows"][0] == ("cat", [(2, 0.5), (2, 0.5), (0, 0.0)])
    assert [row["mostly"] for row in class_rows(matrix, CLASSES)] == ["dog (2)", "cow (1)", ""]


def test_classes_that_are_numbers():
    assert confusion([[1, 3], [0, 2]], "19")["said"] == "1 is taken for 9, 3 times of 4"


def test_a_perfect_matrix():
    assert confusion([[3, 0], [0, 2]], "ab")["said"] == "No test image is taken for another class"


def test_many_classes_are_a_picture():
    matrix = np.eye(30, dtype=int).tolist()
    found = confusion(matrix, list(map(str, range(30))))
    assert (found["rows"], found["picture"].width) == ([], 90)


@pytest.mark.parametrize("matrix", [None, [], [[1]]])
def test_no_matrix(matrix):
    assert confusion(matrix, CLASSES) is None
    assert class_rows(matrix, CLASSES) == []
