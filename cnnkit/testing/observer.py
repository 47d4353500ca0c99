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
from cnnkit.testing import options
from cnnkit.testing.check import Kit, require
from cnnkit.testing.manners import changed_files, manners

_first = Kit("observer", options.kit)

_OF_THE_RUN = ("spec.toml", "resolved.toml", "env.json", "metrics.jsonl", "checkpoints",
               "summary.json", "status.json", "log.txt", ".lock")  # fmt: skip
"""What the run itself writes in its directory."""
Figures = Sequence[dict[str, Any] | None]
"""What validation gave, an epoch each."""
FIGURES: dict[str, Any] = {"loss": 0.75, "accuracy": 0.5, "confusion": [[3, 1], [2, 2]]}
ODD: dict[str, Any] = {"loss": 0.5, "per_class": {"cat": 0.25, "dog": None}, "note": "none", "n": 7}
DONE: dict[str, Any] = {
    "status": "done",
    "dataset": "digits",
    "seed": 0,
    "epochs": 2,
    "train": {"loss": 0.5, "seconds": 2.0, "samples_per_second": 80.0},
    "test": FIGURES,
    "weights_sha256": "0" * 64,
}


@_first.check()
def takes_any_record(observer: Observer) -> None:
    """Epochs without validation are taken, and metrics of any kind that JSON can hold."""
    watch(observer, [None, None])
    watch(observer, [ODD, {"loss": 0.25}])


@_first.check()
def takes_any_ending(observer: Observer) -> None:
    """A run that failed or was interrupted is taken, before its first epoch and after it."""
    for status in ("failed", "interrupted"):
        for figures in ((), (FIGURES,)):
            summary = {"status": status, "epochs": len(figures), "message": "the loss is NaN"}
            watch(observer, figures, summary)


def _use(observer: Observer) -> None:
    watch(observer, [FIGURES, FIGURES])


kit = Kit("observer", _first, manners(_use, reads_files=True))


@kit.check("start every path with run.path: run.path / 'name'")
def files_stay_in_the_run(observer: Observer) -> None:
    """Files are written in the run directory, or deeper: elsewhere two runs would share them."""
    run, changed = _changed(observer)
    strays = [str(path) for path in changed if run not in path.parents]
    what = f"the {observer.type} observer writes outside the run directory"
    expected = f"files below run.path, {run}"
    require(not strays, what, expected=expected, got=", ".join(dict.fromkeys(strays)))


@kit.check(f"choose another name than {', '.join(_OF_THE_RUN)}")
def run_files_left_alone(observer: Observer) -> None:
    """What the run writes itself is not written, moved or removed: it is the run's record."""
    run, changed = _changed(observer)
    inside = [path.relative_to(run) for path in changed if run in path.parents]
    taken = [str(path) for path in inside if path.parts[0] in _OF_THE_RUN]
    what = f"the {observer.type} observer changes the run's own files"
    expected = "files under names of its own"
    require(not taken, what, expected=expected, got=", ".join(dict.fromkeys(taken)))


@kit.check("open what a call needs inside it, by `with`; keep nothing between calls")
def leaves_nothing_open(observer: Observer) -> None:
    """When the run is over, no file, socket or thread of the observer's is left."""
    _use(observer)  # what a first use imports and keeps is no leak
    before = set(_open_things())
    _use(observer)
    left = [thing for thing in _open_things() if thing not in before]
    what = f"the {observer.type} observer leaves something open"
    expected = "the files, sockets and threads there were before the run"
    require(not left, what, expected=expected, got=", ".join(left))


def _changed(observer: Observer) -> tuple[Path, list[Path]]:
    """Return the directory of a short run, and what the observer changed anywhere."""
    with TemporaryDirectory() as folder:
        run = new_run(folder)
        with changed_files() as changed:
            tell(observer, run, [FIGURES], DONE)
    return run.path, changed


def _open_things() -> Iterator[str]:
    yield from (f"thread {thread.name}" for thread in threading.enumerate())
    numbers = Path("/dev/fd")
    for number in numbers.iterdir() if numbers.exists() else ():
        with suppress(OSError):  # the listing's own is closed again
            yield f"file {number.name}, {number.readlink()}"


def check_observer(observer: Observer) -> None:
    """Run every check on an observer; it is told of short runs in temporary folders.

    Raises CheckFailure for the first that fails.
    """
    __tracebackhide__ = True
    kit.run(observer)


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
