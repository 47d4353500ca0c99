"""The built-in metrics, registered through the same hook as anybody else's."""

from typing import ClassVar, Literal

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Metric, Synonyms, predicted_classes
from cnnkit.hookspecs import hookimpl


def confusion_counts(y: Array, labels: Array, classes: int) -> Array:
    """Count samples by (true class, predicted class): (classes, classes) integers."""
    pairs = labels.astype(np.int64) * classes + predicted_classes(y)  # uint8 would wrap around
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


class Accuracy(Metric):
    """Share of samples whose predicted class is the label, 0 to 1."""

    type: Literal["accuracy"] = "accuracy"
    better: ClassVar[Literal["higher"]] = "higher"
    synonyms: ClassVar[Synonyms] = {"accuracy": "acc"}

    def evaluate(self, y: Array, labels: Array, classes: int) -> float:
        return float(np.mean(predicted_classes(y) == labels))


class MacroF1(Metric):
    """Mean over the classes that occur of the harmonic mean of precision and recall, 0 to 1.

    Those occur that a sample has or is predicted to have. One that is never hit counts 0. As of
    scikit-learn's f1_score(average="macro").

    >>> y = np.eye(4)[[0, 0, 1]]  # predicted: 0, 0, 1; nobody speaks of classes 2 and 3
    >>> round(MacroF1().evaluate(y, np.array([0, 1, 1]), 4), 4)  # 2/3 and 2/3
    0.6667
    """

    type: Literal["macro_f1"] = "macro_f1"
    better: ClassVar[Literal["higher"]] = "higher"
    synonyms: ClassVar[Synonyms] = {"macro_f1": "f1 f1score fscore"}

    def evaluate(self, y: Array, labels: Array, classes: int) -> float:
        counts = confusion_counts(y, labels, classes)
        hits, mentions = np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1)
        # 2PR / (P + R) = 2 hits / (predicted + true), which is 0 without hits.
        occurs = mentions > 0
        return float(np.mean(2 * hits[occurs] / mentions[occurs]))


class Confusion(Metric):
    """Counts of samples: a row per true class, a column per predicted class."""

    type: Literal["confusion"] = "confusion"
    synonyms: ClassVar[Synonyms] = {"confusion": "confusionmatrix"}

    def evaluate(self, y: Array, labels: Array, classes: int) -> list[list[int]]:
        rows: list[list[int]] = confusion_counts(y, labels, classes).tolist()
        return rows


@hookimpl
def cnnkit_metrics() -> list[type[Metric]]:
    """Return the metrics that come with cnnkit."""
    return [Accuracy, MacroF1, Confusion]
