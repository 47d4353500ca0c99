"""Resume: where a run goes on, and whether its bits will be those of one that never stopped."""

from __future__ import annotations

import json
from typing import Any

from cnnkit.base import Data, DataPaths
from cnnkit.errors import RunError
from cnnkit.provenance import suppliers
from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.runs.directory import StoredRun, to_json
from cnnkit.runs.environment import computed_by, environment
from cnnkit.runs.recorder import data_digest
from cnnkit.specfile.runspec import RunSpec

_DECIDE = ("cnnkit", "numpy", "blas", "backend", "plugins")
"""What of an environment decides bits; Python and the system do not."""


def resume_point(run: StoredRun, spec: RunSpec, data: Data, paths: DataPaths) -> Checkpoint:
    """Return the newest checkpoint that can be read; say what will be otherwise from here on.

    Raises:
        RunError: where there is none, or the data is not what the run was trained on.
    """
    point = _newest(run, paths)
    known = point.versions.get("data", {})
    if known.get("sha256", "") not in ("", data_digest(data)):
        raise RunError(
            f"{run.path} was trained on other data than {data.name} holds now (another sha256), so "
            "it cannot go on; bring back the data it was trained on, or start a new run"
        )
    here = environment(suppliers(spec, spec.registry))
    then = _deciding(point.versions)
    now = _deciding(here | {"backend": computed_by(spec.train.backend)})
    if other := [_parted(n, then[n], now[n]) for n in _DECIDE if then[n] != now[n]]:
        paths.say(
            f"WARNING: {'; '.join(other)}: the run goes on, but its bits will not be those of one "
            "that never stopped"
        )
    return point


def _deciding(versions: Any) -> dict[str, Any]:
    """Return what of an environment decides bits. BLAS is kept on one thread."""
    found: dict[str, Any] = dict(versions) if isinstance(versions, dict) else {}
    found.setdefault("backend", {"type": "numpy"})  # there was no other
    if isinstance(blas := found.get("blas"), list):
        found["blas"] = [{**library, "threads": 1} for library in blas]
    kept: dict[str, Any] = json.loads(to_json({name: found.get(name) for name in _DECIDE}))
    return kept  # as it is on record


def _parted(name: str, then: Any, now: Any) -> str:
    """Say what a value was and is; of plugins, which are many, what supplied a type then or now."""
    if name == "plugins" and isinstance(then, dict) and isinstance(now, dict):
        keys = [key for key in {**then, **now} if then.get(key) != now.get(key)]
        then, now = ({key: made.get(key) for key in keys} for made in (then, now))
    return f"{name} was {to_json(then)[:200]}, and is {to_json(now)[:200]}"


def _newest(run: StoredRun, paths: DataPaths) -> Checkpoint:
    try:
        return Checkpoint.load(run.checkpoint("last"))
    except RunError as error:
        try:
            point = Checkpoint.load(run.checkpoint("before"))
        except RunError:
            raise error from None
        paths.say(f"WARNING: {error}: the run goes on from the checkpoint before it")
        return point
