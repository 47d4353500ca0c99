"""From a TOML file to a RunSpec, or to one error that lists every problem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tomli
from pydantic import ValidationError

from cnnkit.arrays import Shape
from cnnkit.base import Component, DataPaths, Dataset, DatasetInfo
from cnnkit.base.place import KeyPath
from cnnkit.errors import PluginError, SpecError
from cnnkit.plugins import load_plugins
from cnnkit.provenance import attribute
from cnnkit.registry import Registry
from cnnkit.signals import signals_wait
from cnnkit.source import BIDI, Expanded, Finding, FindingError, Override, Problem, Source, slot_at
from cnnkit.specfile.checks import (
    check_callbacks,
    check_classes,
    check_figures,
    check_judged,
    check_memory,
    check_mended,
    check_network,
    check_ranges,
    check_squeezed,
    dataset_info,
    doubts,
)
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
_DEEPEST = 64
"""Parts of a key, and tables in tables: deeper ones would exhaust the stack of who walks them."""


def parse_override(argument: str) -> Override:
    """Read `train.epochs=5`: the value is TOML, a bare word is a string.

    Raises:
        FindingError: where it cannot be read.
    """
    key, equals, text = argument.partition("=")
    if reverses := BIDI.search(argument):
        code = f"U+{ord(reverses.group()):04X}"
        message = f"a character ({code}) that reverses text, so that it reads as what it is not"
        raise _refusal(argument, message, "take it out", "value")
    shown = repr(argument if len(argument) <= 60 else f"{argument[:57]}...")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        wrong = "a name is missing in its key" if equals and key.strip() else "expected KEY=VALUE"
        help_ = "write --set train.epochs=5, or --set model.layers.0.filters=8 for the first layer"
        raise _refusal(argument, f"cannot read {shown}: {wrong}", help_)
    if len(parts) > _DEEPEST:
        wrong = f"its key has {len(parts)} parts, more than {_DEEPEST}"
        raise _refusal(argument, f"cannot read {shown}: {wrong}", "no option lies that deep")
    path = tuple(int(p) if re.fullmatch(r"\d{1,9}", p) else p for p in parts)
    read = _read_value(text.strip())
    if read.keys() != {"value"}:
        wrong = f"cannot read {shown}: expected one value, got more lines"
        raise _refusal(argument, wrong, "give every KEY=VALUE a --set of its own")
    return Override(argument, path, read["value"])


def _refusal(
    argument: str, message: str, help_: str, at: Literal["key", "value"] = "key"
) -> FindingError:
    override = Override(argument, (), None)
    return FindingError(Finding((), message, help=help_, at=at, override=override))


def _read_value(text: str) -> dict[str, Any]:
    try:
        return tomli.loads(f"value = {text}\n")
    except (ValueError, RecursionError):
        return {"value": text}


class _UnnamedError(FindingError):
    """An override that names a layer which is not there, or not yet."""


def apply_overrides(
    tree: dict[str, Any],
    arguments: Sequence[str],
    registry: Registry,
    later: list[str] | None = None,
) -> tuple[tuple[Override, ...], list[Finding]]:
    """Lay `arguments` over `tree` in place, in order; later ones win.

    Args:
        later: gets the arguments that name a layer which is not there, where it may yet come.

    Returns:
        What was laid over it, and why the others could not be: all of them, at once.
    """
    overrides, refused = [], []
    for argument in arguments:
        try:
            overrides.append(_apply(tree, parse_override(argument), registry))
        except FindingError as error:
            if later is not None and isinstance(error, _UnnamedError):
                later.append(argument)
                continue
            refused.append(error.finding)
    return tuple(overrides), refused


def _apply(tree: dict[str, Any], override: Override, registry: Registry) -> Override:
    """Lay an override over the tree; return it with the path that the tree has."""
    node: Any = tree
    path: KeyPath = ()
    for depth, step in enumerate(override.path, 1):
        is_item = isinstance(node, list)
        if is_item and isinstance(step, str):  # a layer by its name
            named = (i for i, one in enumerate(node) if isinstance(one, dict))
            step = next((i for i in named if node[i].get("name") == step), step)
        if not isinstance(node, dict) and not (
            is_item and isinstance(step, int) and step < len(node)
        ):
            raise _no_way(override, depth, node)
        path = (*path, step if is_item else str(step))
        if depth < len(override.path):
            node = _descend(node, tree, path, registry)
    node[path[-1]] = override.value
    return override._replace(path=path)


def _descend(node: Any, tree: dict[str, Any], path: KeyPath, registry: Registry) -> Any:
    """Return what is at `path`, the end of which `node` holds; a table if there was nothing."""
    step = path[-1]
    if isinstance(node, dict):
        node.setdefault(step, {})
    slot = slot_at(RunSpec, tree, path, registry)
    if isinstance(node[step], str) and slot and slot.family and not slot.many:
        node[step] = {"type": node[step]}  # "relu" becomes a table to set options in
    return node[step]


def _no_way(override: Override, depth: int, node: Any) -> FindingError:
    """Return why an override does not get beyond the first parts of its key."""
    from cnnkit.diagnosis.source import toml_value

    *outer, step = override.path[:depth]
    name, target = ".".join(map(str, outer)) or "the spec", ".".join(map(str, override.path))
    if isinstance(node, list):
        reason, note = f"{name} is an array and has no {step!r}", f"expected 0 to {len(node) - 1}"
        note = f"{note}, the first one being 0" if node else "the array is empty"
    else:
        reason, note = f"{name} is {toml_value(node)}, which holds no options", ""
    message, path = f"cannot set {target}: {reason}", override.path[:depth]
    is_name = isinstance(node, list) and isinstance(step, str)
    kind = _UnnamedError if is_name else FindingError
    return kind(Finding(path, message, note, at="key", override=override))


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
    findings += [*check_storable(spec, tree, registry), *check_squeezed(spec)]
    with attribute(registry, lambda: "when the spec was checked", PluginError):
        findings += [*check_figures(spec), *check_callbacks(spec)]
        findings += [*check_classes(spec.data, paths), *check_ranges(spec.data)]
        info = dataset_info(spec.data, paths)
        findings += [*check_judged(spec, info), *check_network(spec, spec.data, info)]
    if findings:
        raise _failure(findings, source)
    return _doubted(spec)


def _laid_out(
    tree: dict[str, Any], source: Source, arguments: Sequence[str], registry: Registry
) -> Expanded:
    """Return a spec with `arguments` laid over it, and written out where it has a format. They are
    laid over what the files say; where they name copies of a block, over these.

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
    later: list[str] = []
    overrides, refused = apply_overrides(tree, arguments, registry, later)
    source = source._replace(overrides=overrides)
    if too_deep := _too_deep(tree):
        raise _failure([*refused, too_deep], source)
    made = expand(tree, source, registry)
    findings = [*refused, *made.findings]
    if findings and not made.tree:
        raise _failure(findings, made.source)
    late, again = apply_overrides(made.tree, later, registry)
    findings += [] if made.findings else again  # what they name may be what is missing
    return made._replace(source=made.source._replace(late=late), findings=findings)


def _too_deep(tree: dict[str, Any]) -> Finding | None:
    """Return the first table that lies too deep for whoever walks, or runs, what it describes."""
    stack: list[tuple[KeyPath, Any, int]] = [((), tree, 0)]
    while stack:
        path, value, depth = stack.pop()
        if depth > _DEEPEST:
            message = f"tables are nested more than {_DEEPEST} deep"
            return Finding(path[:3], message, help="nest fewer of them")
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        deeper = depth + isinstance(value, dict)
        stack += [((*path, k), v, deeper) for k, v in inside if isinstance(v, dict | list)]
    return None


def recheck(spec: RunSpec, dataset: Dataset, info: DatasetInfo | None) -> None:
    """Check shapes, loss and memory of a valid spec against what is known of its dataset, which
    may be the fallback.

    Raises:
        SpecError: with what does not fit.
    """
    findings = check_network(spec, dataset, info)
    if findings:
        raise _failure(findings, spec.source)


def check_settings(spec: RunSpec, shape: Shape) -> None:
    """Check what `[train]` asks for, of a spec whose network is known to fit images of this shape.

    Raises:
        SpecError: with what cannot be done.
    """
    findings = [*check_figures(spec), *check_callbacks(spec), *check_memory(spec, shape)]
    if findings:
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
