"""What the checks of observers tell: short runs, their figures and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cnnkit.base import Epoch, Observer, RunInfo

Figures = Sequence[dict[str, Any] | None]
"""What validation gave, an epoch each."""

FIGURES: dict[str, Any] = {"loss": 0.75, "accuracy": 0.5, "confusion": [[3, 1], [2, 2]]}
ODD: dict[str, Any] = {
    "loss": 0.5,
    "per_class": {"cat": 0.25, "dog": None},
    "note": "none",
    "n": 7,
}
DONE: dict[str, Any] = {
    "status": "done",
    "dataset": "digits",
    "seed": 0,
    "epochs": 2,
    "train": {"loss": 0.5, "seconds": 2.0, "samples_per_second": 80.0},
    "test": FIGURES,
    "weights_sha256": "0" * 64,
}


def watch(observer: Observer, figures: Figures, summary: dict[str, Any] = DONE) -> None:
    """Tell the observer of a run with these validation figures, an epoch each."""
    with TemporaryDirectory() as folder:
        tell(observer, new_run(folder), figures, summary)


def new_run(folder: str) -> RunInfo:
    """Make a run directory in `folder`, as it is when a run begins."""
    path = Path(folder).resolve() / "run"
    path.mkdir()
    (path / "resolved.toml").write_text('name = "kit"\n')
    (path / "env.json").write_text("{}\n")
    return RunInfo("kit", path, "digits", ("cat", "dog"), samples=40, epochs=2)


def tell(observer: Observer, run: RunInfo, figures: Figures, summary: dict[str, Any]) -> None:
    """Tell the observer of this run, from its start to its end."""
    observer.start(run)
    for number, validation in enumerate(figures, start=1):
        record = Epoch(number, 1 / number, deepcopy(validation), 0.5, 80.0, 0.125)
        observer.epoch(run, record)
    observer.end(run, deepcopy(summary))
