"""Figures of a judged split, as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

_NAMES = {"loss": "test loss", "accuracy": "test accuracy", "macro_f1": "macro-F1"}


def figure_rows(test: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (name, value) for every figure that is one number, accuracy first and loss last."""
    numbers = {name: v for name, v in test.items() if isinstance(v, int | float)}
    order = ["accuracy", "macro_f1", *(n for n in numbers if n not in _NAMES), "loss"]
    for name in order:
        if name in numbers:
            yield _NAMES.get(name, f"test {name.replace('_', ' ')}"), f"{numbers[name]:.4f}"


def confusion_rows(
    matrix: Sequence[Sequence[int]] | None, classes: Sequence[str], most: int = 5
) -> Iterator[tuple[str, str]]:
    """Yield the worst pairs, "Shirt taken for Coat" and "112 of 1,000", the most frequent first.

    Args:
        matrix: a row per true class, a column per predicted one; None yields nothing.
        classes: a display name per class.
    """
    counts = np.array(matrix if matrix is not None else np.zeros((0, 0)), np.int64)
    wrong = counts - np.diag(np.diag(counts))
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:most]:
        true, taken = divmod(int(flat), len(counts))
        if wrong[true, taken]:
            pair = f"{classes[true]} taken for {classes[taken]}"
            yield pair, f"{wrong[true, taken]:,} of {counts[true].sum():,}"


def per_class(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return images, precision, recall and F1 of every class; 0 where a figure is undefined."""
    counts = np.array(matrix, np.int64)
    hits, taken, true = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    return [
        {
            "class": name,
            "images": int(true[i]),
            "precision": float(hits[i] / max(taken[i], 1)),
            "recall": float(hits[i] / max(true[i], 1)),
            "f1": float(2 * hits[i] / max(taken[i] + true[i], 1)),
        }
        for i, name in enumerate(classes)
    ]
