"""Judged: what a network says of the test images, and where it is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Data, Split, predicted_classes
from cnnkit.model import Model
from cnnkit.report.charts import Chart, Series, line_chart
from cnnkit.report.png import Picture, picture, pixels_of, signed
from cnnkit.runs.figures import confusion_rows, per_class
from cnnkit.values import Range, natural_range

MOST = 10_000
"""Test images that a page looks at; of more it takes some, evenly."""
_TABLE = 25
"""Classes up to which a confusion matrix is a table to read; above, a picture."""
_PAIRS, _OF_A_PAIR, _WORST = 5, 8, 12


@dataclass(frozen=True, slots=True)
class Judged:
    """Test images and what the network says of each.

    Args:
        index: their places in the test split.
        shares: (N, K) probabilities; None where the network gives none.
        guesses: (N,) classes.
        classes: a display name per class.
        values: the range of their pixels.
    """

    split: Split
    index: Array
    shares: Array | None
    guesses: Array
    classes: Sequence[str]
    values: Range

    def sureness(self) -> Array:
        """Return the probability of each guess."""
        assured = self.shares if self.shares is not None else np.zeros((len(self.guesses), 1))
        most: Array = assured.max(axis=1)
        return most

    def tile(self, row: int, caption: str) -> Picture:
        """Return an image with what it is and what it is taken for."""
        true, guess = (self.classes[int(k)] for k in (self.split.labels[row], self.guesses[row]))
        alt = f"test image {self.index[row]}: {true}, taken for {guess}"
        alt = alt if true != guess else f"test image {self.index[row]}: {true}"
        return picture(pixels_of(self.split.images[row], self.values), alt, caption, most=64)


def shares_of(model: Model, y: Array) -> Array | None:
    """Return probabilities (N, K); None where the outputs are none."""
    head = model.layers[-1]
    if y.ndim == 2 and y.shape[1] == 1 and head.type == "sigmoid":  # that of class 1
        return np.column_stack([1 - y[:, 0], y[:, 0]])
    return y if head.probabilities and y.ndim == 2 and y.shape[1] > 1 else None


def judge(model: Model, data: Data) -> Judged | None:
    """Let the network name the test images; None where it does not give a number per class."""
    if len(model.output_shape) != 1:
        return None
    index = np.arange(0, len(data.test), -(-len(data.test) // MOST) or 1)
    split = Split(data.test.images[index], data.test.labels[index])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unlikely values: whoever trained has heard it
        y = model.predict(split.images)
    guesses = predicted_classes(y)
    low, high = (model.trained_on or range_of(data.train.images))[:2]
    return Judged(split, index, shares_of(model, y), guesses, data.classes, (low, high))


def range_of(images: Array) -> Range:
    """Return the range that the pixels of images lie in."""
    if not images.size:
        return 0.0, 1.0
    return natural_range((float(images.min()), float(images.max())), images.dtype)


def confusion(matrix: Any, classes: Sequence[str]) -> dict[str, Any] | None:
    """Return the confusion matrix, with the worst pair as its heading.

    Args:
        matrix: a row per true class, a column per predicted one.
    """
    if not matrix or len(matrix) != len(classes):
        return None
    counts = np.array(matrix, np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    worst = list(confusion_rows(matrix, classes, most=20))
    said = "No test image is taken for another class"
    if worst:
        pair, count = worst[0]
        comma = "," * pair[-1:].isdigit()  # behind classes that are numbers themselves
        often = count.replace(" of", " times of")
        said = f"{pair.replace(' taken', ' is taken', 1)}{comma} {often}"
    found: dict[str, Any] = {"said": said, "worst": worst, "rows": [], "picture": None}
    if len(classes) <= _TABLE:
        found["rows"] = [
            (name, [(int(n), round(float(s), 3)) for n, s in zip(*row, strict=True)])
            for name, row in zip(classes, zip(counts, shares, strict=True), strict=True)
        ]
    else:
        pixels = np.kron(signed(shares, 1.0), np.ones((3, 3, 1), np.uint8))
        alt = f"confusion matrix of {len(classes)} classes; the worst pairs are listed beside it"
        found["picture"] = picture(pixels, alt, most=600)
    return found


def class_rows(matrix: Any, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return precision, recall and F1 by class, and what each is mostly taken for."""
    if not matrix or len(matrix) != len(classes):
        return []
    rows = per_class(matrix, classes)
    wrong = np.array(matrix, np.int64)
    np.fill_diagonal(wrong, 0)
    for row, taken in zip(rows, wrong, strict=True):
        most = int(taken.argmax())
        row["mostly"] = f"{classes[most]} ({taken[most]:,})" if taken[most] else ""
    return rows


def pairs(judged: Judged) -> list[tuple[str, list[Picture]]]:
    """Return the most frequent confusions, each with images of it, the surest first."""
    labels, guesses, sure = judged.split.labels, judged.guesses, judged.sureness()
    size = len(judged.classes)
    wrong = labels != guesses
    inside = wrong & (guesses < size)
    counts = np.bincount(labels[inside] * size + guesses[inside], minlength=size * size)
    found: list[tuple[str, list[Picture]]] = []
    for flat in np.argsort(-counts, kind="stable")[:_PAIRS]:
        true, taken = divmod(int(flat), size)
        rows = np.flatnonzero((labels == true) & (guesses == taken) & wrong)
        if len(rows):
            rows = rows[np.argsort(-sure[rows], kind="stable")][:_OF_A_PAIR]
            name = f"{judged.classes[true]} taken for {judged.classes[taken]}"
            tiles = [judged.tile(row, _share(judged, row)) for row in rows.tolist()]
            found.append((f"{name}: {counts[flat]:,} of {(labels == true).sum():,}", tiles))
    return found


def _share(judged: Judged, row: int) -> str:
    return "" if judged.shares is None else percent(float(judged.sureness()[row]))


def percent(share: float) -> str:
    """Return a probability as people read it: nothing is quite certain.

    >>> percent(0.876), percent(0.99996)
    ('88% sure', 'over 99.9% sure')
    """
    if share > 0.999:
        return "over 99.9% sure"
    return f"{share:.1%} sure" if share > 0.99 else f"{share:.0%} sure"


def extremes(judged: Judged) -> list[tuple[str, list[Picture]]]:
    """Return the worst mistakes, and the least certain hits."""
    if judged.shares is None:
        return []
    sure, hit = judged.sureness(), judged.split.labels == judged.guesses

    def tiles(rows: Array, caption: Callable[[int], str]) -> list[Picture]:
        return [judged.tile(int(row), caption(int(row))) for row in rows]

    def name(classes: Array, row: int) -> str:
        return judged.classes[int(classes[row])]

    wrong, right = np.flatnonzero(~hit), np.flatnonzero(hit)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:_WORST]
    right = right[np.argsort(sure[right], kind="stable")][:_WORST]
    labels, guesses = judged.split.labels, judged.guesses

    def mistake(row: int) -> str:
        return f"{name(labels, row)}, taken for {name(guesses, row)}, {percent(sure[row])}"

    def hit_(row: int) -> str:
        return f"{name(labels, row)}, {percent(sure[row])}"

    found = [("Wrong, and sure of it", tiles(wrong, mistake)),
             ("Right, and hardly sure", tiles(right, hit_))]  # fmt: skip
    return [(title, pictures) for title, pictures in found if pictures]


def reliability(judged: Judged) -> tuple[str, Chart | None, float] | None:
    """Return whether the network is as sure as it is right, drawn in ten bins, and the mean
    difference of the two, weighted by images.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), equation 3.
    """
    if judged.shares is None or not len(judged.guesses):
        return None
    sure, hit = judged.sureness(), judged.split.labels == judged.guesses
    bins = np.minimum((sure * 10).astype(int), 9)
    points, error = [], 0.0
    for number in range(10):
        inside = bins == number
        if inside.any():
            mean, right = float(sure[inside].mean()), float(hit[inside].mean())
            points.append((round(mean, 4), round(right, 4)))
            error += abs(mean - right) * inside.mean()
    series = [Series("network", points), Series("ideal", [(0.0, 0.0), (1.0, 1.0)], plain=True)]
    top = bins == 9
    said = "It is never 90% sure"
    if top.any():
        said = f"Where it is at least 90% sure, it is right in {hit[top].mean():.1%} of "
        said += f"{top.sum():,} images"
    title = "Share of hits by how sure the network is"
    return said, line_chart(title, "how sure it is", "share of hits", series, zero=True), error
