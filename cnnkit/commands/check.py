"""`cnnkit check`: judge specs without data or network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnnkit.base import chain_shapes, show
from cnnkit.commands._console import emit, emit_json
from cnnkit.commands._plugins import begin, read_spec
from cnnkit.errors import SpecError
from cnnkit.source import Problem
from cnnkit.specfile.checks import input_info
from cnnkit.specfile.runspec import RunSpec


def check(
    specs: list[Path], /, *, set: tuple[str, ...] = (), quiet: bool = False, json: bool = False
) -> int:
    """Check specs, without data or network.

    Prints a line for every good spec and every problem of a bad one. The exit code is 2 where
    any spec is bad.

    Args:
        specs: TOML files.
        set: KEY=VALUE laid over every spec, such as train.epochs=5; may be repeated.
        quiet: print only warnings and errors.
        json: print one JSON document.
    """
    news, registry = begin(quiet)
    reports: list[dict[str, Any]] = []
    for path in specs:
        report: dict[str, Any] = {"spec": str(path), "ok": True, "warnings": [], "problems": []}
        try:
            spec = read_spec(path, set, registry, news)
            result, report["warnings"] = _describe(spec)
        except SpecError as error:
            news.error(f"{error}\n" if error.problems else str(error))
            problems = [problem.as_json() for problem in error.problems]
            report |= {"ok": False, "problems": problems or [{"message": str(error)}]}
        else:
            for warning in report["warnings"]:
                news.warn(f"{path}: {warning}")
            report["warnings"] += [_place(problem) for problem, _ in spec.warnings]
            if not (quiet or json):
                emit(f"{path}: ok, {result}")
        reports.append(report)
    if json:
        emit_json(reports)
    return 0 if all(report["ok"] for report in reports) else SpecError.exit_code


def _place(warning: Problem) -> str:
    where = warning.argument or f"{warning.file}:{warning.line}:{warning.column}"
    return f"{where}: {warning.message}"


def _describe(spec: RunSpec) -> tuple[str, list[str]]:
    """Return what can be said of a good spec, and warnings of what could not be checked."""
    (shape, info), layers = input_info(spec), spec.model.layers
    count = f"{len(layers)} layer{'s' if len(layers) > 1 else ''}"
    unknown = f"{spec.data.type} is known only once it is loaded"
    if shape is None:
        return count, [
            f"shapes, memory and loss are not checked, since {unknown}; "
            "give the shape of an image as [model] input = [C, H, W]"
        ]
    shapes = chain_shapes(layers, shape, "layers")
    warnings = [f"the loss is not checked against the classes, since {unknown}"]
    return f"{count}, {show(shape)} -> {show(shapes[-1])}", warnings if info is None else []
