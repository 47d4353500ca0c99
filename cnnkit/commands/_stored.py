"""What runs have left behind: their specs and models."""

from __future__ import annotations

from pathlib import Path

import tomli

from cnnkit.errors import RunError
from cnnkit.model import Model
from cnnkit.registry import Registry
from cnnkit.runs.directory import Kind, RunDirectory, StoredRun
from cnnkit.specfile.load import load_spec
from cnnkit.specfile.runspec import RunSpec


def model_file(run: Path, checkpoint: Kind) -> Path:
    """Return the file that holds the model: a checkpoint of the run directory, or `run` itself.

    Raises:
        RunError: where there is neither.
    """
    if run.is_dir():
        refuse_folder_of_runs(run)
        return RunDirectory.open(run).checkpoint(checkpoint)
    if not run.exists():
        raise RunError(
            f"there is no run {run}; expected a directory made by `cnnkit run`, or a model's file"
        )
    return run


def refuse_folder_of_runs(folder: Path) -> None:
    """Refuse a folder above runs, such as runs/NAME, and name the newest run in it.

    Raises:
        RunError: where `folder` holds runs and is none.
    """
    if (folder / "spec.toml").exists():
        return
    inside = [file.parent for depth in ("*", "*/*") for file in folder.glob(f"{depth}/spec.toml")]
    if inside:
        newest = max(inside, key=lambda run: (run / "spec.toml").stat().st_mtime)
        raise RunError(f"{folder} is no run but a folder of runs; the newest one is {newest}")


def stored_spec(run: StoredRun, registry: Registry) -> RunSpec:
    """Return the spec that a run was made with, every default as it was then, less observers:
    what watched the run need not be installed where it is looked at.

    It is not judged against its data again: files of that name may be others by now.

    Raises:
        SpecError: where it cannot be read any more, for want of a plugin for instance.
    """
    try:
        unwatched = tomli.loads(run.resolved) | {"observers": []}
        return RunSpec.model_validate(unwatched, context={"registry": registry})
    except ValueError:  # what tomli and pydantic raise; said again in cnnkit's words
        return load_spec(run.path / "resolved.toml", registry=registry)


def load_model(run: Path, checkpoint: Kind, registry: Registry) -> Model:
    """Return the model of a run directory, a checkpoint or a file that `Model.save` wrote.

    Raises:
        RunError: where it is missing, damaged, or needs a type that is not installed.
    """
    return Model.load(model_file(run, checkpoint), registry)
