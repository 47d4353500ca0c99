"""Course: how a run went, as its folder tells it, and the figures that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from statistics import median
from typing import Any

import numpy as np

from cnnkit.runs.directory import StoredRun
from cnnkit.specfile.runspec import RunSpec


@dataclass(frozen=True, slots=True)
class Course:
    """How a run went, as its folder tells it.

    Args:
        failure: why it failed, where it did.
        looks: the lines of its vitals; without them it is seen from outside alone.
        test: figures on the test images.
        neighbours: asks the data for how many images the most similar other one has the same label;
            None where they cannot be had.
    """

    spec: RunSpec
    epochs: Sequence[dict[str, Any]]
    looks: Sequence[dict[str, Any]]
    test: dict[str, Any]
    failure: str = ""
    neighbours: Callable[[], float | None] = lambda: None

    @classmethod
    def of(
        cls, stored: StoredRun, spec: RunSpec, neighbours: Callable[[], float | None] | None = None
    ) -> Course:
        """Read what a run left behind.

        Raises:
            RunError: where a record is damaged.
        """
        done = (stored.path / "summary.json").exists()
        summary = stored.facts("summary.json") if done else {}
        status = stored.facts("status.json")
        failure = str(status.get("message")) if status.get("status") == "failed" else ""
        test, known = summary.get("test") or {}, neighbours or (lambda: None)
        return cls(spec, stored.epochs(), stored.vitals(), test, failure, known)

    @property
    def classes(self) -> list[int]:
        """Images of each class: those to train on, else those to test with."""
        found = next((look["classes"] for look in self.looks if "classes" in look), None)
        return found or [sum(row) for row in self.test.get("confusion") or []]

    @property
    def most(self) -> float:
        """The share of the most frequent class: what guessing it gets right."""
        return max(self.classes) / sum(self.classes) if sum(self.classes) else 0.0

    @property
    def guessing(self) -> float | None:
        """The loss of a network that knows how frequent classes are, and nothing else."""
        if self.spec.loss.type != "cross_entropy" or not sum(self.classes):
            return None
        shares = [count / sum(self.classes) for count in self.classes if count]
        return -sum(share * log(share) for share in shares) or None

    def losses(self, part: str) -> list[float]:
        """Return the loss of each epoch in the "train" or "validation" part, where it has any."""
        found = [epoch.get("train_loss") if part == "train" else
                 (epoch.get("validation") or {}).get("loss") for epoch in self.epochs]  # fmt: skip
        return [loss for loss in found if loss is not None]

    @property
    def accuracy(self) -> float | None:
        """The best share of images named right, validation or test; None where none is known."""
        found = [(epoch.get("validation") or {}).get("accuracy") for epoch in self.epochs]
        matrix = np.array(self.test.get("confusion") or [[0]])
        named = float(np.trace(matrix) / matrix.sum()) if matrix.sum() else None
        known = [one for one in (*found, self.test.get("accuracy", named)) if one is not None]
        return max(known, default=None)

    @property
    def learned(self) -> float:
        """How far it came from guessing (0) to no loss or no mistake at all (1)."""
        losses = self.losses("validation") or self.losses("train")
        if losses and self.guessing:
            return 1 - min(losses) / self.guessing
        return (self.accuracy - self.most) / (1 - self.most) if self.accuracy is not None else 1.0

    def updates(self) -> list[tuple[int, float]]:
        """Return (epoch, median over the layers of the share of its weights that a step moved)."""
        found = []
        for look in self.looks:
            shares = [
                one["update"] for one in look["weights"].values() if one["update"] is not None
            ]
            found += [(look["epoch"], median(shares))] if shares else []
        return found

    @property
    def steps(self) -> int:
        """Steps in an epoch; 0 where that is not known."""
        return -(-sum(self.classes) // self.spec.train.batch) if self.looks else 0
