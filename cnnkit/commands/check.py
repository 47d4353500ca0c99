"""`cnnkit check`: judge specs without data or network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnnkit.arrays import Shape, counted
from cnnkit.base import Layer, chain_shapes, show
from cnnkit.commands._console import News, emit, emit_json
from cnnkit.commands._plugins import advise, begin, read_spec
from cnnkit.errors import CnnkitError, SpecError
from cnnkit.registry import Registry
from cnnkit.source import Problem
from cnnkit.specfile.checks import input_info
from cnnkit.specfile.resolved import resolved_toml
from cnnkit.specfile.runspec import RunSpec
from cnnkit.summary import layer_rows


def check(
    specs: list[Path],
    /,
    *,
    set: tuple[str, ...] = (),
    resolved: bool = False,
    quiet: bool = False,
    json: bool = False,
) -> int:
    """Check specs, without data or network.

    Prints a line for every good spec and every problem of a bad one. Layers of a --plugin file go
    through the conformance kit, their gradients too. The exit code is 2 where anything is bad.

    Args:
        specs: TOML files.
        set: KEY=VALUE laid over every spec, such as train.epochs=5; may be repeated.
        resolved: print the spec written out, with every default, as TOML that runs identically.
        quiet: print only warnings and errors.
        json: print one JSON document.
    """
    if resolved and (len(specs) > 1 or json):
        raise CnnkitError("--resolved prints one spec as TOML; leave out the others, and --json")
    news, registry = begin(quiet)
    reports = []
    for path in specs:
        spec, report = _judge(path, set, registry, news)
        if spec and not resolved:
            _hold(spec, report, news)
        if spec and report["ok"] and (resolved or not (quiet or json)):
            emit(resolved_toml(spec).rstrip() if resolved else f"{path}: ok, {_describe(spec)[0]}")
        reports.append(report)
    if json:
        emit_json(reports)
    return 0 if all(report["ok"] for report in reports) else SpecError.exit_code


def _judge(
    path: Path, set: tuple[str, ...], registry: Registry, news: News
) -> tuple[RunSpec | None, dict[str, Any]]:
    """Return a spec, if it is good, and what there is to say of it, which is told."""
    report: dict[str, Any] = {"spec": str(path), "ok": True, "warnings": [], "problems": []}
    try:
        spec = read_spec(path, set, registry, news)
        report["warnings"] = _describe(spec)[1]
    except SpecError as error:
        news.error(f"{error}\n" if error.problems else str(error))
        problems = [problem.as_json() for problem in error.problems]
        return None, report | {"ok": False, "problems": problems or [{"message": str(error)}]}
    for warning in report["warnings"]:
        news.warn(f"{path}: {warning}")
    problems = [*(problem for problem, _ in spec.warnings), *advise(spec, news)]
    report["warnings"] += map(_place, problems)
    return spec, report


def _hold(spec: RunSpec, report: dict[str, Any], news: News) -> None:
    """Hold the layers of plugin files against the conformance kit, where their shapes are known."""
    files = {plugin.distribution for plugin in spec.registry.plugins if plugin.file}
    shape, held = input_info(spec)[0], list[tuple[Layer, Shape]]()
    for row in layer_rows(spec.model.layers, shape, 4) if files and shape else ():
        entry, case = spec.registry.entry_of(type(row.layer)), (row.layer, row.given)
        if not entry or entry.distribution not in files or case in held:
            continue
        held.append(case)
        from cnnkit.testing import check_layer, layer_checks  # 0.2 s, for files alone

        try:
            check_layer(*case)
        except AssertionError as failure:
            news.error(f"error: {failure}\n")
            report["ok"] = False
            report["problems"].append({"message": str(failure)})
        else:
            passed = f"{len(layer_checks())} checks of the kit passed"
            news.say(f"{entry.type} of {entry.distribution} for {show(row.given)}: {passed}")


def _place(warning: Problem) -> str:
    where = warning.argument or f"{warning.file}:{warning.line}:{warning.column}"
    return f"{where}: {warning.message}"


def _describe(spec: RunSpec) -> tuple[str, list[str]]:
    """Return what can be said of a good spec, and warnings of what could not be checked."""
    (shape, info), layers = input_info(spec), spec.model.layers
    count = counted(len(layers), "layer")
    unknown = f"{spec.data.type} is known only once it is loaded"
    if shape is None:
        return count, [
            f"shapes, memory and loss are not checked, since {unknown}; "
            "give the shape of an image as [model] input = [C, H, W]"
        ]
    shapes = chain_shapes(layers, shape, "layers")
    warnings = [f"the loss is not checked against the classes, since {unknown}"]
    return f"{count}, {show(shape)} -> {show(shapes[-1])}", warnings if info is None else []
