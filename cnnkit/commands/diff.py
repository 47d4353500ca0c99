"""`cnnkit diff`: what differs between two specs or runs."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Any

import tomli

from cnnkit.commands._console import emit, emit_json, table
from cnnkit.errors import RunError
from cnnkit.plugins import load_plugins
from cnnkit.provenance import plain
from cnnkit.registry import Registry
from cnnkit.runs.directory import StoredRun
from cnnkit.specfile.load import load_spec

_MISSING = object()
_WIDTH = 24
"""More of a value than this is of no use in a table; the JSON has all of it."""
_FIGURES = ("status", "dataset", "epochs", "train", "test", "weights_sha256")
_VERSIONS = ("cnnkit", "python", "os", "numpy", "blas", "plugins")
Values = dict[str, Any]
"""Key path -> value."""


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
            made.add_row(key, *map(_shown, pair))
        if rows:
            emit(made, "")


def _parts(path: Path, registry: Registry) -> dict[str, Values]:
    """Return what is compared; a spec has only options."""
    if not path.is_dir():
        spec = load_spec(path, registry=registry)
        return {"options": _flat(plain(spec, registry, spec.source.folder))}
    run = StoredRun(path)
    try:
        options = tomli.loads(run.resolved)
        json_text.dumps(options)  # a date, say, is nothing that cnnkit writes
    except (ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{path / 'resolved.toml'} is damaged: {error}") from error
    finished = (path / "summary.json").exists()
    figures, facts = run.facts("summary.json" if finished else "status.json"), run.facts("env.json")
    return {
        "options": _flat(options),
        "figures": _flat({name: v for name, v in figures.items() if name in _FIGURES}),
        "environment": _flat({name: v for name, v in facts.items() if name in _VERSIONS}),
    }


def _flat(value: Any, path: str = "") -> Values:
    """Return the leaves of tables and arrays of tables by key path; [5, 5] is a leaf."""
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        return {path: value}
    found: Values = {}
    for step, inner in items:
        found |= _flat(inner, f"{path}.{step}" if path else str(step))
    return found


def _differences(a: Values, b: Values) -> dict[str, tuple[Any, Any]]:
    """Return the values that differ, in the order of `a` and then of `b`."""
    pairs = {key: (a.get(key, _MISSING), b.get(key, _MISSING)) for key in {**a, **b}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "-" if value is _MISSING else json_text.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _as_json(key: str, pair: tuple[Any, Any]) -> Values:
    sides = zip(("first", "second"), pair, strict=True)
    return {"key": key} | {side: value for side, value in sides if value is not _MISSING}
