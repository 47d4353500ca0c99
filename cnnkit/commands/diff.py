"""`cnnkit diff`: what differs between two specs or runs."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Any

from cnnkit.commands._console import emit, emit_json, table
from cnnkit.plugins import load_plugins
from cnnkit.provenance import plain
from cnnkit.registry import Registry
from cnnkit.runs.directory import StoredRun
from cnnkit.runs.listing import MISSING, Values, by_path, differing, options_of
from cnnkit.specfile.load import load_spec

_WIDTH = 24
"""More of a value than this is of no use in a table; the JSON has all of it."""
_FIGURES = ("status", "dataset", "epochs", "train", "test", "weights_sha256")
_VERSIONS = ("cnnkit", "python", "os", "numpy", "blas", "plugins")


def diff(first: Path, second: Path, /, *, json: bool = False) -> None:
    """Compare two specs or runs: options with their defaults, and for two runs what came out.

    Prints only what differs, by key path; `model.layers.0.filters` is what --set would take.

    Args:
        first: a TOML file or a run directory.
        second: another one.
        json: print one JSON document.
    """
    registry = load_plugins()
    a, b = _parts(first, registry), _parts(second, registry)
    parts = {part: _differences(a[part], b[part]) for part in a if part in b}
    if json:
        found = {part: list(map(_as_json, rows, rows.values())) for part, rows in parts.items()}
        emit_json({"first": str(first), "second": str(second), **found})
        return
    if not any(parts.values()):
        emit("no difference")
    for part, rows in parts.items():
        made = table(part, str(first), str(second))
        for key, pair in rows.items():
            made.add_row(key, *map(shown, pair))
        if rows:
            emit(made, "")


def _parts(path: Path, registry: Registry) -> dict[str, Values]:
    """Return what is compared; a spec has only options."""
    if not path.is_dir():
        spec = load_spec(path, registry=registry)
        return {"options": by_path(plain(spec, registry, spec.source.folder))}
    run = StoredRun(path)
    options = options_of(run)
    finished = (path / "summary.json").exists()
    figures, facts = run.facts("summary.json" if finished else "status.json"), run.facts("env.json")
    return {
        "options": options,
        "figures": by_path({name: v for name, v in figures.items() if name in _FIGURES}),
        "environment": by_path({name: v for name, v in facts.items() if name in _VERSIONS}),
    }


def _differences(a: Values, b: Values) -> dict[str, tuple[Any, Any]]:
    """Return the values that differ, in the order of `a` and then of `b`."""
    keys = differing([a, b])
    return {key: (a.get(key, MISSING), b.get(key, MISSING)) for key in keys}


def shown(value: Any) -> str:
    """Return a value as it stands in a table."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "-" if value is MISSING else json_text.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _as_json(key: str, pair: tuple[Any, Any]) -> Values:
    sides = zip(("first", "second"), pair, strict=True)
    return {"key": key} | {side: value for side, value in sides if value is not MISSING}
