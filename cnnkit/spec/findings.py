"""Findings: what is wrong, by key path. `report` turns them into problems with positions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from cnnkit.spec.positions import locate
from cnnkit.spec.problems import Problem
from cnnkit.spec.source import KeyPath, Override, Source


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong at `path`, before anybody looked up where that is in the text."""

    path: KeyPath
    message: str
    note: str = ""
    help: str = ""
    trail: str = ""
    at: Literal["key", "value"] = "value"


class FindingError(Exception):
    """A finding about a `--set` argument that cannot be laid over the spec."""

    def __init__(self, finding: Finding, override: Override) -> None:
        super().__init__(finding.message)
        self.finding = finding
        self.override = override


def report(findings: list[Finding], source: Source) -> list[Problem]:
    """Return the findings with file, line, column and source line, or with their `--set`."""
    located = locate(source.text) if source.file else {}
    lines = source.text.split("\n")
    problems = []
    for finding in findings:
        override = source.override_of(finding.path, finding.path in located)
        override = override or source.retyped_by(finding.path)
        if override is None and (made := source.retyped_by(finding.path[:-1])):
            cause = f"the type comes from --set {made.argument}"
            finding = replace(finding, help="; ".join(filter(None, [finding.help, cause])))
        where = in_argument(finding, override) if override else _in_file(finding, located, lines)
        problems.append(problem(finding, source.file, where))
    return problems


def problem(finding: Finding, file: str, where: dict[str, Any]) -> Problem:
    """Return a finding as a problem at a known place."""
    return Problem(
        finding.message,
        file=file,
        path=finding.path,
        note=finding.note,
        help=finding.help,
        trail=finding.trail,
        **where,
    )


def in_argument(finding: Finding, override: Override) -> dict[str, Any]:
    """Return where in a `--set` argument the caret goes: to a part of the key, or the value."""
    key, _, value = override.argument.partition("=")
    depth = len(finding.path)
    on_value = value and depth >= len(override.path) and (
        finding.at == "value" or depth > len(override.path)
    )  # fmt: skip
    if on_value:
        start, width = len(key) + 1, len(value)
    else:
        parts = key.split(".")
        index = min(max(depth, 1), len(parts)) - 1
        start, width = sum(len(part) + 1 for part in parts[:index]), len(parts[index])
        start, width = (0, len(key)) if not depth else (start, width)
    text = f"--set {override.argument}"
    column = len("--set ") + start + 1
    return {"argument": text, "line": 1, "column": column, "width": max(width, 1),
            "source_line": text}  # fmt: skip


def _in_file(finding: Finding, located: Any, lines: list[str]) -> dict[str, Any]:
    position = located.nearest(finding.path) if located else None
    if position is None:
        return {"line": 1, "column": 1, "width": 1, "source_line": lines[0].rstrip("\r")}
    exact = finding.path in located
    if finding.at == "key" or not exact:
        line, column, width = position.line, position.column, position.width
    else:
        line, column = position.value_line, position.value_column
        width = position.value_width
    return {"line": line, "column": column, "width": width,
            "source_line": lines[line - 1].rstrip("\r")}  # fmt: skip
