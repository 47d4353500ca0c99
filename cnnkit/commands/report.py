"""`cnnkit report`: show what became of a run, or of several, on one page."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from cnnkit.base import Data
from cnnkit.commands._console import News, emit
from cnnkit.commands._plugins import begin
from cnnkit.commands.evaluate import data_of
from cnnkit.errors import CnnkitError
from cnnkit.model import Model
from cnnkit.registry import Registry
from cnnkit.report.page import write_page
from cnnkit.report.several import other_data, runs_page
from cnnkit.report.single import run_page
from cnnkit.report.subject import Subject, subject_of
from cnnkit.runs.data import data_paths
from cnnkit.runs.directory import Kind, StoredRun, find_run
from cnnkit.runs.kept import plugin_flags
from cnnkit.runs.session import Session
from cnnkit.specfile.runspec import RunSpec

REPORT = "report.html"


def report(
    runs: list[Path],
    /,
    *,
    out: Path | None = None,
    checkpoint: Literal["last", "best"] = "last",
    data_dir: Path | None = None,
) -> None:
    """Write a page on a run, or on several side by side: one file to open in any browser.

    A page of an earlier report is replaced, no other file is.

    Args:
        runs: run directories.
        out: the file to write; by default report.html in the run's folder, or for several, here.
        checkpoint: the weights after the "last" epoch (the default), or after the "best" one.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
    """
    news, registry = begin()
    stored = [find_run(run) for run in runs]
    if len(stored) == 1:
        html = run_page(_subject(stored[0], registry, checkpoint, data_dir, news))
        path = out or stored[0].path / REPORT
    else:
        subjects = [_records(run, registry, checkpoint) for run in stored]
        if note := other_data(subjects):
            news.warn(note)
        html = runs_page(subjects)
        path = out or Path(REPORT)
    write_page(path, html)
    emit(str(path))


def _records(stored: StoredRun, registry: Registry, kind: Kind) -> Subject:
    """Return a run without its data: of several, the records say enough."""
    spec = stored.spec(registry)
    return subject_of(stored, spec, _model(stored, spec, registry, kind), None)


def _subject(
    stored: StoredRun, registry: Registry, kind: Kind, data_dir: Path | None, news: News
) -> Subject:
    spec = stored.spec(registry)
    model = _model(stored, spec, registry, kind)
    data: Data | None = None
    missing = ""
    if model is not None:
        paths = data_paths(spec, data_dir, news.say, progress=news.screen.is_terminal)
        try:
            data = data_of(spec, stored, paths, model)
        except CnnkitError as error:  # the rest can be told without
            missing = str(error).partition("\n")[0]
            news.warn(f"the report has no pictures, as the data cannot be had: {missing}")
    return subject_of(stored, spec, model, data, missing)


def _model(stored: StoredRun, spec: RunSpec, registry: Registry, kind: Kind) -> Model | None:
    """Return the network; None where the run ended before it saved any."""
    if stored.unfinished() and not (stored.path / "checkpoints" / f"{kind}.safetensors").exists():
        return None
    return Model.load(stored.checkpoint(kind), registry, backend=spec.train.backend)


def report_of(session: Session, news: News) -> Path | None:
    """Write the report of a run that has just finished, from what is in memory; return its path.

    The run is whole without it: where it cannot be written, that is a warning, and None.
    """
    stored = StoredRun(session.directory.path)
    try:
        subject = subject_of(stored, session.spec, session.model, session.data)
        write_page(stored.path / REPORT, run_page(subject))
    except Exception as error:  # of a plugin's layer, say
        said = str(error).partition("\n")[0] or type(error).__name__
        again = f"cnnkit report {shlex.quote(str(stored.path))}{plugin_flags(stored.path)}"
        news.warn(f"the run has no report: {said}; `{again}` tries again")
        return None
    return stored.path / REPORT
