"""Several runs of one spec: a seed or a fold each, and the mean and deviation of their figures."""

from __future__ import annotations

import re
import shutil
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnnkit.commands._console import News, emit, emit_json, table
from cnnkit.errors import CnnkitError, TrainingError
from cnnkit.runs.directory import StoredRun, new_folder
from cnnkit.runs.listing import standing
from cnnkit.runs.lock import Lock
from cnnkit.specfile.runspec import RunSpec

_MOST = 1000


class Member(NamedTuple):
    """One of the runs: its folder's name, and what it lays over the spec."""

    name: str
    set: tuple[str, ...]


def members(spec: RunSpec, seeds: str | None) -> list[Member]:
    """Return the runs that a spec and `--seeds` ask for; none where it is a single one.

    Raises:
        CnnkitError: where `seeds` cannot be read.
    """
    found = []
    if seeds is not None:
        found = [Member(f"seed-{n}", (f"seed={n}",)) for n in _read(seeds)]
    if spec.data.folds is None or spec.data.fold is not None:
        return found
    return [Member(f"{name}fold-{n}", (*set, f"data.fold={n}"))
            for name, set in ([(f"{one.name}-", one.set) for one in found] or [("", ())])
            for n in range(1, spec.data.folds + 1)]  # fmt: skip


def _read(seeds: str) -> list[int]:
    """Read "0..4" or "0,3,7", each once."""
    found: dict[int, None] = {}
    for part in seeds.split(","):
        matched = re.fullmatch(r"\s*(\d{1,18})(?:\.\.(\d{1,18}))?\s*", part)
        first, last = (int(matched[1]), int(matched[2] or matched[1])) if matched else (1, 0)
        if not first <= last < first + _MOST:
            what = f"expected 0..4 or 0,3,7, no more than {_MOST:,}"
            raise CnnkitError(f"cannot read --seeds {seeds!r}; {what}")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)


class Several:
    """The folder of several runs.

    Args:
        out: the folder, or None for a new one under runs/.
        resume: keep what is done there, and go on with what has begun.
    """

    def __init__(self, spec: RunSpec, out: Path | None, resume: bool, news: News) -> None:
        if resume and out is None:
            raise CnnkitError("--resume goes on with the runs in --out; give --out, too")
        self.path = out or new_folder(spec.name)
        self._resume, self._news = resume, news
        self.failed: list[str] = []

    def begun(self, name: str) -> StoredRun | None:
        """Return the run of that name, if it has begun; one that has saved nothing is taken away,
        to begin anew."""
        path = self.path / name
        if not self._resume or not path.exists():
            return None
        empty = (path / "status.json").exists() and not any(path.glob("checkpoints/*.safetensors"))
        if empty and not Lock.is_held(path):
            self._news.say(f"note: {path} was ended before it saved anything, and begins anew")
            shutil.rmtree(path)
            return None
        return StoredRun(path)

    def failure(self, name: str, error: TrainingError) -> None:
        """Note that a run failed; the others go on."""
        self.failed.append(name)
        notes = getattr(error, "__notes__", [])
        self._news.error("\n".join([f"error: {name}: {error}", *notes]))

    def conclude(self, names: Sequence[str], json: bool) -> int:
        """Print what came out of the runs, and return the exit code."""
        done = {name: StoredRun(self.path / name) for name in names if name not in self.failed}
        figures = summarised([standing(run) for run in done.values()])
        if json:
            runs = [{"run": str(run.path), **run.facts("summary.json")} for run in done.values()]
            emit_json({"run": str(self.path), "figures": figures, "runs": runs,
                       "failed": self.failed})  # fmt: skip
        elif not self._news.quiet:
            self._print(figures, len(done))
        return int(bool(self.failed))

    def _print(self, figures: dict[str, dict[str, float | None]], count: int) -> None:
        columns = ("mean", "deviation", "lowest", "highest")
        made = table("", *columns, right=columns)
        for name, one in figures.items():
            spoken = name.replace(".macro_f1", " macro-F1").replace(".", " ").replace("_", " ")
            made.add_row(spoken, *_cells(one, columns))
        self._news.say("")
        what = f"{count} run" + "s" * (count != 1)
        emit(made, f"\nof {what}; `cnnkit runs {self.path}` lists them\n\n{self.path}")


def _cells(one: dict[str, float | None], columns: Sequence[str]) -> Iterator[str]:
    for column in columns:
        value = one[column]
        yield "-" if value is None else f"{value:.4f}"


def summarised(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Return mean, deviation (of a sample: over n - 1), lowest and highest of every figure that
    all runs have, in the order test, validation, train, seconds."""
    found = {}
    for name, values in _figures(runs):
        found[name] = {
            "mean": statistics.fmean(values),
            "deviation": statistics.stdev(values) if len(values) > 1 else None,
            "lowest": min(values),
            "highest": max(values),
        }
    return found


def _figures(runs: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[float]]]:
    first = runs[0] if runs else {}
    for part in ("test", "validation", "train"):
        for name in first.get(part, {}):
            values = [run.get(part, {}).get(name) for run in runs]
            if None not in values:
                yield f"{part}.{name}", values
    if runs:
        yield "seconds", [run["seconds"] for run in runs]
