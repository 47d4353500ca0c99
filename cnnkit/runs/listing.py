"""Listing: all runs in a folder, how each stands, and what differs between them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli

from cnnkit.errors import CnnkitError, RunError
from cnnkit.runs.directory import StoredRun

MISSING = object()
"""The value of a key that is not there."""
Values = dict[str, Any]
"""Key path -> value."""


def find_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs in `folder`, or itself, in the order of their names."""
    for path, folders, files in os.walk(folder):
        if {"status.json", "resolved.toml"} & {*files} or "checkpoints" in folders:
            folders.clear()
            yield Path(path)
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def standing(run: StoredRun) -> dict[str, Any]:
    """Return how a run stands: status, message and whole epochs, the figures of its last epoch and
    of its end, by part, and the seconds that it trained.

    Raises:
        RunError: where a file is damaged.
    """
    status, epochs = run.facts("status.json"), run.epochs()
    found: dict[str, Any] = {
        "status": status.get("status"),
        "message": str(status.get("message", "")).partition("\n")[0],
        "epoch": status.get("epoch"),
    }
    if epochs:
        seconds = [epoch.get("seconds") for epoch in epochs]
        found["seconds"] = sum(s for s in seconds if isinstance(s, int | float))
        found["train"] = {"loss": epochs[-1].get("train_loss")}
        found |= {part: one for part, one in epochs[-1].items() if isinstance(one, dict)}
    if status.get("status") == "done":
        found |= {"test": run.facts("summary.json").get("test") or {}}
    for part, figures in found.items():
        if isinstance(figures, dict):  # those that are one number
            found[part] = {n: v for n, v in figures.items() if isinstance(v, int | float)}
    return found


def options_of(run: StoredRun) -> Values:
    """Return all options of a run by key path, `model.layers.0.filters`.

    Raises:
        RunError: where its resolved.toml is damaged.
    """
    try:
        options = tomli.loads(run.resolved)
        json.dumps(options)  # a date, say, is nothing that cnnkit writes
    except (ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{run.path / 'resolved.toml'} is damaged: {error}") from error
    return by_path(options)


def by_path(value: Any, path: str = "") -> Values:
    """Return the leaves of tables and arrays of tables by key path; [5, 5] is a leaf."""
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        return {path: value}
    found: Values = {}
    for step, inner in items:
        found |= by_path(inner, f"{path}.{step}" if path else str(step))
    return found


def differing(all_values: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values are not the same everywhere, in their order."""
    keys = dict.fromkeys(key for values in all_values for key in values)
    first = all_values[0] if all_values else {}
    return [k for k in keys
            if any(one.get(k, MISSING) != first.get(k, MISSING) for one in all_values)]  # fmt: skip


def list_runs(folder: Path) -> list[dict[str, Any]]:
    """Return what `standing` says of every run in `folder`, with its `path` there and its
    `options`; of one that is broken, the status "broken" and why."""
    found = []
    for path in find_folders(folder):
        row: dict[str, Any] = {"path": str(path.relative_to(folder))}
        try:
            run = StoredRun(path)
            row |= {**standing(run), "options": options_of(run)}
        except CnnkitError as error:
            row |= {"status": "broken", "message": str(error).partition("\n")[0], "options": {}}
        found.append(row)
    return found
