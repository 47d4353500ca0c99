"""`cnnkit diff`: what differs between two specs or runs."""

from __future__ import annotations

import json as json_text
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from cnnkit.commands._console import emit, emit_json, table
from cnnkit.errors import RunError
from cnnkit.plugins import load_plugins
from cnnkit.provenance import plain
from cnnkit.registry import Registry
from cnnkit.runs.directory import RunDirectory
from cnnkit.specfile.load import load_spec

_MISSING = object()
_SIDES = ("first", "second")
_WIDTH = 24
"""More of a value than this is of no use in a table; the JSON has all of it."""
_FIGURES = ("status", "dataset", "epochs", "train", "test", "weights_sha256")
_VERSIONS = ("cnnkit", "python", "os", "numpy", "blas", "plugins")


@dataclass(frozen=True, slots=True)
class Side:
    """What is compared: each a map from key path to value; a spec has only options."""

    options: dict[str, Any]
    figures: dict[str, Any]
    environment: dict[str, Any]


def diff(first: Path, second: Path, /, *, json: bool = False) -> None:
    """Compare two specs or runs: options with their defaults, and for two runs what came out.

    Prints only what differs, by key path; `model.layers.0.filters` is what --set would take.

    Args:
        first: a TOML file or a run directory.
        second: another one.
        json: print one JSON document.
    """
    registry = load_plugins()
    a, b = _side(first, registry), _side(second, registry)
    parts = {"options": _differences(a.options, b.options)}
    if a.figures and b.figures:
        parts["figures"] = _differences(a.figures, b.figures)
        parts["environment"] = _differences(a.environment, b.environment)
    if json:
        emit_json({"first": str(first), "second": str(second), **_as_json(parts)})
        return
    if not any(parts.values()):
        emit("no difference")
    for part, rows in parts.items():
        made = table(part, str(first), str(second))
        for key, (left, right) in rows.items():
            made.add_row(key, _shown(left), _shown(right))
        if rows:
            emit(made)
            emit("")


def _side(path: Path, registry: Registry) -> Side:
    if not path.is_dir():
        spec = load_spec(path, registry=registry)
        return Side(_flat(plain(spec, registry, spec.source.folder)), {}, {})
    run = RunDirectory.open(path)
    try:
        options = tomli.loads(run.resolved)
        json_text.dumps(options)  # a date, say, is nothing that cnnkit writes
    except (ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{path / 'resolved.toml'} is damaged: {error}") from error
    finished = (path / "summary.json").exists()
    figures = run.summary() if finished else run.status()
    facts = {name: v for name, v in run.environment().items() if name in _VERSIONS}
    kept = {name: v for name, v in figures.items() if name in _FIGURES}
    return Side(_flat(options), _flat(kept), _flat(facts))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of tables and arrays of tables by key path; [5, 5] is a leaf."""
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = enumerate(value)
    else:
        return {path: value}
    found: dict[str, Any] = {}
    for step, inner in items:
        found |= _flat(inner, f"{path}.{step}" if path else str(step))
    return found


def _differences(a: dict[str, Any], b: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the values that differ, in the order of `a` and then of `b`."""
    pairs = {key: (a.get(key, _MISSING), b.get(key, _MISSING)) for key in {**a, **b}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "-" if value is _MISSING else json_text.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."


def _as_json(parts: dict[str, dict[str, tuple[Any, Any]]]) -> dict[str, Any]:
    return {
        part: [
            {"key": key}
            | {side: v for side, v in zip(_SIDES, pair, strict=True) if v is not _MISSING}
            for key, pair in rows.items()
        ]
        for part, rows in parts.items()
    }
