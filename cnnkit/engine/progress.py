"""Progress: how far training is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cnnkit.arrays import counted


@dataclass(frozen=True, slots=True)
class Progress:
    """Where in an epoch training is: `samples` done of `total`, and the loss so far."""

    epoch: int
    samples: int
    total: int
    loss: float


Watcher = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Position:
    """How far training is, all of it: randomness is a function of where it is used.

    Args:
        epoch: whole epochs done; its record is due where all steps of the next one are done.
        index: steps done of the epoch after those.
        step: steps done over the whole run.
        samples, total: images of these `index` steps, and the sum of their losses.
        seconds: that these steps took, and those that were rolled back.
        skipped: steps among these whose numbers were not finite.
        rollbacks: times that this epoch was begun again, with half the learning rate.
        halved: times that this happened over the whole run.
        missing: images of skipped steps that the update under way would have averaged over.
    """

    epoch: int = 0
    index: int = 0
    step: int = 0
    samples: int = 0
    total: float = 0.0
    seconds: float = 0.0
    skipped: int = 0
    rollbacks: int = 0
    halved: int = 0
    missing: int = 0

    def __str__(self) -> str:
        steps = f"{counted(self.index, 'step')} of epoch {self.epoch + 1}"
        return steps if self.index else f"epoch {self.epoch}"

    @property
    def mean(self) -> float:
        """The mean loss of the epoch so far."""
        return self.total / max(1, self.samples)

    def after(self, images: int, loss: float | None, seconds: float) -> Position:
        """Return where training is after a step of so many images, skipped where it has no loss."""
        skipped = loss is None
        return replace(
            self, index=self.index + 1, step=self.step + 1, seconds=seconds,
            samples=self.samples + images * (not skipped), total=self.total + (loss or 0),
            skipped=self.skipped + skipped, missing=self.missing + images * skipped,
        )  # fmt: skip

    def begun_again(self) -> Position:
        """Return the start of this epoch, from where it begins again with half the rate."""
        return Position(
            self.epoch, 0, self.step - self.index, seconds=self.seconds,
            rollbacks=self.rollbacks + 1, halved=self.halved + 1,
        )  # fmt: skip
