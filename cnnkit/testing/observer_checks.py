"""The kit for observers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cnnkit.base import Epoch, Observer, RunInfo
from cnnkit.testing.audit import changed_files
from cnnkit.testing.check import Check, check
from cnnkit.testing.failure import require
from cnnkit.testing.manners import manner_checks
from cnnkit.testing.option_checks import OPTION_CHECKS

Figures = Sequence[dict[str, Any] | None]
"""What validation gave, an epoch each."""

_FIGURES: dict[str, Any] = {"loss": 0.75, "accuracy": 0.5, "confusion": [[3, 1], [2, 2]]}
_ODD: dict[str, Any] = {
    "loss": 0.5,
    "per_class": {"cat": 0.25, "dog": None},
    "note": "none",
    "n": 7,
}
_DONE: dict[str, Any] = {
    "status": "done",
    "dataset": "digits",
    "seed": 0,
    "epochs": 2,
    "train": {"loss": 0.5, "seconds": 2.0, "samples_per_second": 80.0},
    "test": _FIGURES,
    "weights_sha256": "0" * 64,
}


@check
def takes_any_record(observer: Observer) -> None:
    """Epochs without validation are taken, and metrics of any kind that JSON can hold."""
    _watch(observer, [None, None])
    _watch(observer, [_ODD, {"loss": 0.25}])


@check
def takes_any_ending(observer: Observer) -> None:
    """A run that failed or was interrupted is taken, before its first epoch and after it."""
    for status in ("failed", "interrupted"):
        for figures in ((), (_FIGURES,)):
            summary = {"status": status, "epochs": len(figures), "message": "the loss is NaN"}
            _watch(observer, figures, summary)


@check
def files_stay_in_the_run(observer: Observer) -> None:
    """Files are written in the run directory, or deeper: elsewhere two runs would share them."""
    with TemporaryDirectory() as folder:
        run = _run(folder)
        with changed_files() as changed:
            _tell(observer, run, [_FIGURES], _DONE)
        strays = [str(path) for path in changed if run.path not in path.parents]
    require(
        not strays,
        f"the {observer.type} observer writes outside the run directory",
        expected=f"files below run.path, {run.path}",
        got=", ".join(dict.fromkeys(strays)),
        fix="start every path with run.path: run.path / 'name'",
    )


@check
def leaves_nothing_open(observer: Observer) -> None:
    """When the run is over, no file, socket or thread of the observer's is left."""
    _use(observer)  # what a first use imports and keeps is no leak
    before = set(_open_things())
    _use(observer)
    left = [thing for thing in _open_things() if thing not in before]
    require(
        not left,
        f"the {observer.type} observer leaves something open",
        expected="the files, sockets and threads there were before the run",
        got=", ".join(left),
        fix="open what a call needs inside it, by `with`; keep nothing between calls",
    )


def _open_things() -> Iterator[str]:
    yield from (f"thread {thread.name}" for thread in threading.enumerate())
    numbers = Path("/dev/fd")
    for number in numbers.iterdir() if numbers.exists() else ():
        with suppress(OSError):  # the listing's own is closed again
            yield f"file {number.name}, {number.readlink()}"


def _use(observer: Observer) -> None:
    _watch(observer, [_FIGURES, _FIGURES])


OBSERVER_CHECKS: tuple[Check, ...] = (
    *OPTION_CHECKS,
    takes_any_record,
    takes_any_ending,
    *manner_checks(_use, reads_files=True),
    files_stay_in_the_run,
    leaves_nothing_open,
)


def check_observer(observer: Observer) -> None:
    """Run every check on an observer; it is told of short runs in temporary folders.

    Raises:
        CheckFailure: for the first check that fails; it says what to mend.
    """
    __tracebackhide__ = True
    for one in OBSERVER_CHECKS:
        one(observer)


def _watch(observer: Observer, figures: Figures, summary: dict[str, Any] = _DONE) -> None:
    """Tell the observer of a run with these validation figures, an epoch each."""
    with TemporaryDirectory() as folder:
        _tell(observer, _run(folder), figures, summary)


def _run(folder: str) -> RunInfo:
    path = Path(folder).resolve() / "run"
    path.mkdir()
    (path / "resolved.toml").write_text('name = "kit"\n')
    (path / "env.json").write_text("{}\n")
    return RunInfo("kit", path, "digits", ("cat", "dog"), samples=40, epochs=2)


def _tell(observer: Observer, run: RunInfo, figures: Figures, summary: dict[str, Any]) -> None:
    observer.start(run)
    for number, validation in enumerate(figures, start=1):
        record = Epoch(number, 1 / number, deepcopy(validation), 0.5, 80.0, 0.125)
        observer.epoch(run, record)
    observer.end(run, deepcopy(summary))
