"""From a TOML file to a RunSpec, or to one error that lists every problem."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli
from pydantic import ValidationError

from cnnkit.base import Dataset, Places, Signature
from cnnkit.errors import SpecError
from cnnkit.plugins import load_plugins
from cnnkit.registry import Registry
from cnnkit.spec.checks import check_classes, check_network, known_signature
from cnnkit.spec.collect import collect
from cnnkit.spec.findings import FindingError, in_argument, problem, report
from cnnkit.spec.overrides import apply_overrides
from cnnkit.spec.problems import Problem
from cnnkit.spec.render import place, render
from cnnkit.spec.requirements import check_requirements
from cnnkit.spec.runspec import RunSpec
from cnnkit.spec.source import Source
from cnnkit.spec.storable import check_storable
from cnnkit.spec.syntax import describe_bidi, describe_toml_error

_MAX_BYTES = 2**20


def load_spec(
    path: str | Path,
    set: Sequence[str] = (),  # the CLI's word
    *,
    registry: Registry | None = None,
    places: Places | None = None,
) -> RunSpec:
    """Read, validate and check a spec.

    Args:
        path: a TOML file, at most 1 MiB.
        set: values laid over the file, such as ["train.epochs=5", "optimizer.lr=0.1"].
        registry: the types that may be named; by default all installed ones.
        places: where datasets look for files, to learn shapes; by default the spec's folder.

    Raises:
        SpecError: with every problem found: file, line, column, what was expected, how to mend.
    """
    source = _read(Path(path))
    tree = _parse(source)
    overrides, refused = apply_overrides(tree, set)
    source = Source(source.file, source.raw, overrides)
    registry = registry or load_plugins()
    places = places or Places(spec_dir=source.folder)
    findings = check_requirements(tree, registry)
    try:
        spec = RunSpec.model_validate(tree, context={"registry": registry})
    except ValidationError as error:
        _refuse_bad_installation(error, registry)
        findings += collect(tree, error, registry, places)
        raise _failure([*_arguments(refused, source), *report(findings, source)]) from None
    spec._source, spec._registry = source, registry
    findings += check_storable(spec, tree, registry)
    findings += check_classes(spec.data, places)
    findings += check_network(spec, spec.data, known_signature(spec.data, places))
    if findings or refused:
        raise _failure([*_arguments(refused, source), *report(findings, source)])
    return spec


def recheck(spec: RunSpec, dataset: Dataset, signature: Signature | None) -> None:
    """Check shapes, loss and memory of a valid spec against what is known of its dataset, which
    may be the fallback.

    Raises:
        SpecError: with what does not fit.
    """
    findings = check_network(spec, dataset, signature)
    if findings:
        raise _failure(report(findings, spec.source))


def _failure(problems: Sequence[Problem]) -> SpecError:
    return SpecError(render(problems), sorted(problems, key=place))


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
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"error: cannot read the spec {path}: {error.strerror or error}") from None
    if len(raw) > _MAX_BYTES:
        raise SpecError(f"error: {path} is larger than 1 MiB; that is no spec")
    return Source(str(path), raw)


def _parse(source: Source) -> dict[str, Any]:
    try:
        tree = tomli.loads(source.raw.decode("utf-8"))
    except (tomli.TOMLDecodeError, ValueError, RecursionError) as error:
        raise _failure([describe_toml_error(source.file, source.text, error)]) from None
    if reversed_text := describe_bidi(source.file, source.text):
        raise _failure([reversed_text])
    return tree


def _arguments(refused: Sequence[FindingError], source: Source) -> list[Problem]:
    """Return what is wrong with the arguments that could not be laid over the tree."""
    return [
        problem(error.finding, source.file, in_argument(error.finding, error.override))
        for error in refused
    ]
