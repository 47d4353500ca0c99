"""Observer: is told what happens in a run."""

from __future__ import annotations

import inspect
from abc import ABC
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cnnkit.base.component import Component


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
        skipped: steps whose numbers were not finite, and which moved nothing.
        rollbacks: times that it was begun again with half the learning rate.
        weights_sha256: of the weights after it, in a run that is recorded.
    """

    epoch: int
    train_loss: float
    validation: dict[str, Any] | None
    seconds: float
    samples_per_second: float
    lr: float
    skipped: int = 0
    rollbacks: int = 0
    weights_sha256: str = ""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What an observer may know of a run before it begins.

    Args:
        name: the spec's.
        path: the run directory, where an observer's files belong; resolved.toml and env.json are
            there already.
        dataset: type of the dataset really used.
        classes: a display name per class.
        samples: training images per epoch.
        epochs: how many epochs there will be.
    """

    name: str
    path: Path
    dataset: str
    classes: tuple[str, ...]
    samples: int
    epochs: int


class Observer(Component, ABC):
    """Is told what happens in a run; defines one of `start`, `epoch` and `end`, or more of them.

    Like any component it keeps nothing on itself: one spec may train twice at once. What has to
    be remembered from call to call lies in files under `run.path`, where it outlives a crash.

    Whatever it raises becomes a warning, and it is not called again: a run is worth more than
    its log. Facts come as copies, so nothing an observer does to them changes the run. Its time
    is not counted as training.
    """

    family: ClassVar[str] = "observers"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse an observer that would never be told anything.

        Raises:
            TypeError: naming the class.
        """
        super().__init_subclass__(**kwargs)
        final = "type" in inspect.get_annotations(cls)
        methods = ("start", "epoch", "end")
        if final and all(getattr(cls, name) is getattr(Observer, name) for name in methods):
            raise TypeError(f"{cls.__name__} observes nothing: define start, epoch or end")

    def start(self, run: RunInfo) -> None:
        """Be told, before the first epoch, that a run begins."""
        return

    def epoch(self, run: RunInfo, record: Epoch) -> None:
        """Be told what an epoch gave, once it is on record in the run directory."""
        return

    def end(self, run: RunInfo, summary: dict[str, Any]) -> None:
        """Be told, after everything else, how the run ended.

        Args:
            summary: where its "status" is "done", what summary.json holds; where it is "failed"
                or "interrupted", only the number of finished "epochs" and a "message".
        """
        return
