"""Epoch: the record that training yields, and that the CLI, observers and checkpoints consume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training data gave.

    Args:
        epoch: counted from 1.
        train_loss: mean over the epoch's samples, while the weights moved.
        validation: loss and metrics, or None where nothing was set aside.
        seconds: wall time of the steps, evaluation excluded.
        samples_per_second: training samples over `seconds`.
        lr: learning rate of the last step.
    """

    epoch: int
    train_loss: float
    validation: dict[str, Any] | None
    seconds: float
    samples_per_second: float
    lr: float
