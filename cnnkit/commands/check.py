"""`cnnkit check`: judge specs without data or network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnnkit.base import chain_shapes, show
from cnnkit.commands._console import News, emit, emit_json
from cnnkit.commands._plugins import warn_of_broken, warn_of_rivals
from cnnkit.commands.show import input_info
from cnnkit.errors import SpecError
from cnnkit.plugins import load_plugins
from cnnkit.registry import Registry
from cnnkit.specfile.load import load_spec
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
    news, registry = News(quiet), load_plugins()
    warn_of_broken(registry, news)
    reports = [_judge(path, set, registry, news, quiet or json) for path in specs]
    if json:
        emit_json(reports)
    return 0 if all(report["ok"] for report in reports) else SpecError.exit_code


def _judge(
    path: Path, arguments: tuple[str, ...], registry: Registry, news: News, silent: bool
) -> dict[str, Any]:
    report: dict[str, Any] = {"spec": str(path), "ok": True, "warnings": [], "problems": []}
    try:
        spec = load_spec(path, arguments, registry=registry)
    except SpecError as error:
        news.error(f"{error}\n" if error.problems else str(error))
        problems = [problem.as_json() for problem in error.problems]
        return report | {"ok": False, "problems": problems or [{"message": str(error)}]}
    warn_of_rivals(spec, news)
    result, warnings = _describe(spec)
    for warning in warnings:
        news.warn(f"{path}: {warning}")
    if not silent:
        emit(f"{path}: ok, {result}")
    return report | {"warnings": warnings}


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
    result = f"{count}, {show(shape)} -> {show(shapes[-1])}"
    if info is None:
        return result, [f"the loss is not checked against the classes, since {unknown}"]
    return result, []
