"""From a TOML file to a RunSpec, or to one error that lists every problem."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli
from pydantic import ValidationError

from cnnkit.base import Component, DataPaths, Dataset, DatasetInfo
from cnnkit.base.place import KeyPath
from cnnkit.errors import PluginError, SpecError
from cnnkit.plugins import load_plugins
from cnnkit.provenance import attribute
from cnnkit.registry import Registry
from cnnkit.signals import signals_wait
from cnnkit.source import BIDI, Expanded, Finding, Problem, Source
from cnnkit.specfile.checks import (
    check_classes,
    check_mended,
    check_spec,
    dataset_info,
    doubts,
)
from cnnkit.specfile.overrides import DEEPEST, Late, apply_overrides
from cnnkit.specfile.requirements import check_requirements
from cnnkit.specfile.resolved import check_storable
from cnnkit.specfile.runspec import RunSpec

_STAND_INS = {
    "name": "unnamed",
    "data": {"type": "digits"},
    "model": {"layers": ["relu"]},
    "loss": {"type": "mean_squared_error"},
    "optimizer": {"type": "sgd", "lr": 0.1},
}
"""What a section is judged by that is missing, or beyond guessing."""
_MAX_BYTES = 2**20


@signals_wait()  # else pydantic may swallow one, and a command go on
def load_spec(
    path: str | Path,
    set: Sequence[str] = (),  # the CLI's word
    *,
    registry: Registry | None = None,
    paths: DataPaths | None = None,
    types: Sequence[type[Component]] = (),
) -> RunSpec:
    """Read, validate and check a spec.

    Args:
        path: a TOML file, at most 1 MiB.
        set: values laid over the file, such as ["train.epochs=5", "optimizer.lr=0.1"].
        registry: the types that may be named; by default all installed ones.
        paths: where datasets look for files, to learn shapes; by default the spec's folder.
        types: classes of your own that the spec names, such as those of a notebook.

    Raises:
        SpecError: with every problem found: file, line, column, what was expected, how to mend.
    """
    registry = (registry or load_plugins()).offering(types)
    tree, source, findings, unknown = _laid_out(*_read_tables(Path(path)), set, registry)
    paths = paths or DataPaths(source.folder)
    findings += check_requirements(tree, registry)
    if too_deep := _too_deep(tree):
        raise _failure([*findings, too_deep], source)
    try:
        spec = RunSpec.model_validate(tree, context={"registry": registry})
    except ValidationError as error:
        _refuse_bad_installation(error, registry)
        findings += _diagnose(error, tree, registry, paths, unknown)
        raise _failure(findings, source) from None
    spec._source, spec._registry = source, registry
    findings += check_storable(spec, tree, registry)
    with attribute(registry, lambda: "when the spec was checked", PluginError):
        findings += check_classes(spec.data, paths)
        findings += check_spec(spec, spec.data, dataset_info(spec.data, paths))
    if findings:
        raise _failure(findings, source)
    return _doubted(spec)


def _laid_out(
    tree: dict[str, Any], source: Source, arguments: Sequence[str], registry: Registry
) -> Expanded:
    """Return a spec with `arguments` laid over it, and written out where it has a format. They are
    laid over what the files say; those that name copies of a block, when these are made.

    Raises:
        SpecError: where it cannot be written out.
    """
    if "format" not in tree:
        overrides, refused = apply_overrides(tree, arguments, registry)
        return Expanded(tree, source._replace(overrides=overrides), refused)
    from cnnkit.specfile.expand import expand
    from cnnkit.specfile.include import FileError, included

    try:
        tree, source = included(tree, source, _read_tables)
    except FileError as error:
        raise _failure([error.finding], error.source) from None
    overrides, refused = apply_overrides(tree, arguments, registry, may_wait=True)
    source = source._replace(overrides=overrides)
    if too_deep := _too_deep(tree):
        raise _failure([*refused, too_deep], source)
    made = expand(tree, source, registry)
    findings = [*refused, *made.findings]
    if findings and not made.tree:
        raise _failure(findings, made.source)
    return made._replace(findings=findings)


def _too_deep(tree: dict[str, Any]) -> Finding | None:
    """Return the first table that lies too deep for whoever walks, or runs, what it describes."""
    stack: list[tuple[KeyPath, Any, int]] = [((), tree, 0)]
    while stack:
        path, value, depth = stack.pop()
        if depth > DEEPEST:
            message = f"tables are nested more than {DEEPEST} deep"
            return Finding(path[:3], message, help="nest fewer of them")
        value = [value.override.value] if isinstance(value, Late) else value
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        deeper = depth + isinstance(value, dict)
        stack += [((*path, k), v, deeper) for k, v in inside if isinstance(v, dict | list | Late)]
    return None


def recheck(spec: RunSpec, dataset: Dataset, info: DatasetInfo | None) -> None:
    """Check a valid spec against what is known of its dataset, which may be the fallback.

    Raises:
        SpecError: with what does not fit.
    """
    if findings := check_spec(spec, dataset, info):
        raise _failure(findings, spec.source)


def _diagnose(
    error: ValidationError,
    tree: dict[str, Any],
    registry: Registry,
    paths: DataPaths,
    unknown: frozenset[KeyPath],
) -> list[Finding]:
    from cnnkit.diagnosis.repair import collect
    from cnnkit.diagnosis.source import Draft

    draft = Draft(RunSpec, tree, registry)
    found = collect(
        draft, error, lambda spec, dropped: check_mended(spec, dropped, paths), _STAND_INS
    )
    return [f for f in found if unknown.isdisjoint(f.path[:n] for n in range(len(f.path) + 1))]


def _doubted(spec: RunSpec) -> RunSpec:
    """Give a valid spec its warnings."""
    spec._warnings = warned(doubts(spec), spec.source)
    return spec


def warned(findings: list[Finding], source: Source) -> list[tuple[Problem, str]]:
    """Return findings as warnings, each with the text that shows where."""
    if not findings:
        return []
    from cnnkit.diagnosis.problems import render, report

    problems = report(findings, source)
    texts = (f"warning{render([one]).removeprefix('error')}" for one in problems)
    return list(zip(problems, texts, strict=True))


def _failure(findings: list[Finding], source: Source) -> SpecError:
    from cnnkit.diagnosis.problems import refusal, report

    return refusal(report(findings, source))


def _refuse_bad_installation(error: ValidationError, registry: Registry) -> None:
    """Stop where cnnkit's own types are looked for in vain: no change to a spec can help."""
    unknown = [e.get("ctx", {}).get("family") for e in error.errors()]
    if lost := [family for family in registry.missing_built_ins() if family in unknown]:
        raise SpecError(
            f"error: cnnkit's own {' and '.join(lost)} are not registered; reinstall it: "
            "pip install --force-reinstall cnnkit"
        ) from None


def _read(path: Path) -> Source:
    if (path / "resolved.toml").is_file():
        raise SpecError(
            f"error: {path} is a folder; the spec of that run is {path / 'resolved.toml'}"
        )
    try:
        if not path.is_file() and not path.is_dir() and path.exists():
            raise OSError("not a regular file")  # a pipe would block
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"error: cannot read the spec {path}: {error.strerror or error}") from None
    if len(raw) > _MAX_BYTES:
        raise SpecError(f"error: {path} is larger than 1 MiB; that is no spec")
    return Source(str(path), raw)


def _read_tables(path: Path) -> tuple[dict[str, Any], Source]:
    source = _read(path)
    return _parse(source), source


def _parse(source: Source) -> dict[str, Any]:
    try:
        tree = tomli.loads(source.raw.decode("utf-8"))
        if BIDI.search(source.text):
            raise ValueError("text that is shown in another order than it has")
        return tree
    except (ValueError, RecursionError) as error:
        from cnnkit.diagnosis.problems import refusal
        from cnnkit.diagnosis.toml import describe_toml_error

        raise refusal([describe_toml_error(source.file, source.text, error)]) from None
