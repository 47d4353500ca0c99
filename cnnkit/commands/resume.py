"""`cnnkit resume`: go on with a run."""

from __future__ import annotations

from pathlib import Path

from cnnkit.arrays import counted
from cnnkit.commands._plugins import begin
from cnnkit.commands.run import close, train
from cnnkit.errors import RunError
from cnnkit.runs.directory import StoredRun, find_run
from cnnkit.runs.kept import plugin_flags
from cnnkit.specfile.load import load_spec


def resume(
    run: Path,
    /,
    *,
    epochs: int | None = None,
    data_dir: Path | None = None,
    no_report: bool = False,
    quiet: bool = False,
    json: bool = False,
) -> None:
    """Go on with a run that was interrupted or killed, to the same bits as if it had not been.

    Args:
        run: a run directory.
        epochs: how many there shall be in all; by default as many as the spec says.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        no_report: write no report.html into the run's directory.
        quiet: print the run's directory, and else only warnings and errors.
        json: print one JSON document.
    """
    news, registry = begin(quiet)
    stored = find_run(run)
    stored.need_plugin_files(registry)
    longer = (f"train.epochs={epochs}",) if epochs is not None else ()
    before = stored.spec(registry)
    spec = load_spec(stored.path / "resolved.toml", longer, registry=registry)
    done, total = len(stored.epochs()), spec.train.epochs
    if total <= done or epochs is None:
        _refuse_done(stored, run, done)
    schedule = spec.optimizer.schedule
    if total != before.train.epochs and schedule.type != "constant":
        news.warn(
            f"the {schedule.type} schedule was made for {counted(before.train.epochs, 'epoch')}, "
            f"and is laid over {total} now: from here on rates are those of a run of "
            f"{counted(total, 'epoch')}"
        )
    finished, session = train(spec, news, None, data_dir, stored=stored)
    close(finished, None if no_report else session, news, json)


def _refuse_done(stored: StoredRun, run: Path, done: int) -> None:
    if stored.facts("status.json").get("status") != "done":
        return
    why = stored.facts("summary.json").get("stopped", "")
    raise RunError(
        f"{run} is done, after {counted(done, 'epoch')}{why and f' ({why})'}; to train it on, say "
        f"how many there shall be in all: cnnkit resume {run} --epochs {done + 1}"
        f"{plugin_flags(run)}"
    )
