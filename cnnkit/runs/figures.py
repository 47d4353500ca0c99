"""Figures: what was measured on images, in rows for tables and pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnnkit.base import Epoch

_FIRST = ["accuracy", "macro_f1"]


def epoch_line(epoch: Epoch, epochs: int) -> str:
    """Return what an epoch gave, of so many, on one line."""
    figures = [f"epoch {epoch.epoch}/{epochs}: loss {epoch.train_loss:.4f}"]
    if epoch.validation:
        figures.append(f"validation loss {epoch.validation['loss']:.4f}")
    if epoch.validation and "accuracy" in epoch.validation:
        figures.append(f"accuracy {epoch.validation['accuracy']:.4f}")
    speed = f"{epoch.seconds:.1f} s, {epoch.samples_per_second:,.0f} images/s"
    return f"{', '.join(figures)} ({speed})"


def figure_rows(figures: dict[str, Any], part: str = "test") -> Iterator[tuple[str, str]]:
    """Yield (name, value) for every figure that is one number, accuracy first and loss last.

    Args:
        part: of the data, on whose images they were measured.
    """
    numbers = {name: v for name, v in figures.items() if isinstance(v, int | float)}
    for name in [*_FIRST, *(n for n in numbers if n not in [*_FIRST, "loss"]), "loss"]:
        if name in numbers:
            words = "macro-F1" if name == "macro_f1" else f"{part} {name.replace('_', ' ')}"
            yield words, f"{numbers[name]:.4f}"


def confusion_rows(
    matrix: Sequence[Sequence[int]] | None, classes: Sequence[str], most: int = 5
) -> Iterator[tuple[str, str]]:
    """Yield the worst pairs, "Shirt taken for Coat" and "112 of 1,000", the most frequent first.

    Args:
        matrix: a row per true class, a column per predicted one; None yields nothing.
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
    precision, recall = hits / np.maximum(taken, 1), hits / np.maximum(true, 1)
    f1 = 2 * hits / np.maximum(taken + true, 1)
    rows = zip(classes, *(column.tolist() for column in (true, precision, recall, f1)), strict=True)
    names = ("class", "images", "precision", "recall", "f1")
    return [dict(zip(names, row, strict=True)) for row in rows]
