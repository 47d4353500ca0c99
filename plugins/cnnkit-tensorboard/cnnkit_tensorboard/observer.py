"""Tensorboard: the figures of a run, where TensorBoard looks for them."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any, Literal

from cnnkit.base import Epoch, Observer, RunInfo
from cnnkit_tensorboard.events import scalars, version
from cnnkit_tensorboard.records import framed


class Tensorboard(Observer):
    """Writes an event file into the run directory: `tensorboard --logdir runs` shows every run.

    Scalars after each epoch: train/loss, train/lr, train/samples_per_second, validation/loss and
    validation/... for every metric that is one number; test/... once, at the end.

    Raises:
        OSError: where the file cannot be written.
    """

    type: Literal["tensorboard"] = "tensorboard"

    def start(self, run: RunInfo) -> None:
        _append(run, version(time()))

    def epoch(self, run: RunInfo, record: Epoch) -> None:
        train = {
            "loss": record.train_loss,
            "lr": record.lr,
            "samples_per_second": record.samples_per_second,
        }
        values = _tagged("train", train) | _tagged("validation", record.validation or {})
        _append(run, scalars(time(), record.epoch, values))

    def end(self, run: RunInfo, summary: dict[str, Any]) -> None:
        if summary["status"] == "done":
            _append(run, scalars(time(), summary["epochs"], _tagged("test", summary["test"])))


def _append(run: RunInfo, event: bytes) -> None:
    """Add an event in one write, so that a TensorBoard that reads meanwhile sees whole ones."""
    with (run.path / "events.out.tfevents.cnnkit").open("ab", buffering=0) as file:
        file.write(framed(event))


def _tagged(group: str, figures: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures that are one number, under the tags that TensorBoard groups them by."""
    return {f"{group}/{name}": v for name, v in figures.items() if isinstance(v, int | float)}
