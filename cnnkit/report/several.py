"""The page of several runs side by side, from their records alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import tomli

from cnnkit.report.charts import Chart, Series, line_chart
from cnnkit.report.inside import kernels
from cnnkit.report.judged import class_rows
from cnnkit.report.page import render
from cnnkit.report.subject import Subject, asked, curve, reached

_DULL = ("name", "observers")
"""Options that change nothing of what a run gives."""


def runs_page(subjects: Sequence[Subject]) -> str:
    """Return the page; runs are called A, B, C in the order given."""
    letters = [_letter(i) for i in range(len(subjects))]
    figures = [reached(subject) for subject in subjects]
    names = list(dict.fromkeys(name for one in figures for name in one))
    return render(
        "compare.html",
        title=_title(letters, subjects),
        note=other_data(subjects),
        runs=list(zip(letters, subjects, strict=True)),
        asked=[asked(subject) for subject in subjects],
        figures=[(name, [one.get(name) for one in figures]) for name in names],
        letters=letters,
        options=_differences([_options(subject) for subject in subjects]),
        charts=_charts(letters, subjects),
        classes=_classes(subjects),
        kernels=[(letter, kernels(s.model)[:1] if s.model else [])
                 for letter, s in zip(letters, subjects, strict=True)],
    )  # fmt: skip


def other_data(subjects: Sequence[Subject]) -> str:
    """Return a warning where runs were not judged on the same images, or ""."""
    groups: dict[str, list[str]] = {}
    for index, subject in enumerate(subjects):
        data = subject.env.get("data")
        sha256 = data.get("sha256") if isinstance(data, dict) else None
        if sha256:
            groups.setdefault(str(sha256), []).append(
                f"{_letter(index)} ({subject.summary.get('dataset', subject.spec.data.type)})"
            )
    if len(groups) < 2:
        return ""
    parts = "; ".join(", ".join(group) for group in groups.values())
    return f"the runs saw different images, so their figures cannot be held together: {parts}"


def _letter(index: int) -> str:
    """Return A to Z, then A2 and so on."""
    return chr(ord("A") + index % 26) + (str(index // 26 + 1) if index >= 26 else "")


def _title(letters: Sequence[str], subjects: Sequence[Subject]) -> str:
    found = [(subject.test.get("accuracy"), letter, subject.spec.name)
             for letter, subject in zip(letters, subjects, strict=True)]  # fmt: skip
    known = [one for one in found if isinstance(one[0], float)]
    if not known:
        return f"{len(subjects)} runs side by side"
    best, letter, name = max(known, key=lambda one: one[0] or 0.0)
    return (
        f"Of {len(subjects)} runs, {letter} ({name}) names the most test images right: {best:.1%}"
    )


def _charts(letters: Sequence[str], subjects: Sequence[Subject]) -> list[Chart]:
    wanted = [("Training loss", "train", "loss"), ("Validation loss", "validation", "loss"),
              ("Validation accuracy", "validation", "accuracy")]  # fmt: skip
    charts = []
    for title, part, figure in wanted:
        series = [Series(letter, curve(subject.epochs, part, figure))
                  for letter, subject in zip(letters, subjects, strict=True)]  # fmt: skip
        charts.append(line_chart(title, "epoch", figure, series, zero=figure == "loss", whole=True))
    return [chart for chart in charts if chart]


def _classes(subjects: Sequence[Subject]) -> list[tuple[str, list[float | None]]]:
    """Return the F1 of every class in every run, where all have the same classes."""
    tables = []
    for subject in subjects:
        classes = subject.model.classes if subject.model else ()
        tables.append({row["class"]: row["f1"]
                       for row in class_rows(subject.test.get("confusion"), classes)})  # fmt: skip
    names = list(dict.fromkeys(name for one in tables for name in one))
    return [(name, [one.get(name) for one in tables]) for name in names]


def _options(subject: Subject) -> dict[str, str]:
    """Return the options of a run by key path, as text."""
    try:
        spec = tomli.loads(subject.files["resolved.toml"])
    except ValueError:
        return {}
    return {path: value for path, value in _leaves(spec, "") if path not in _DULL}


def _leaves(value: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        items = [(f"{path}.{key}" if path else key, inner) for key, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [(f"{path}.{number}", inner) for number, inner in enumerate(value)]
    else:
        return [(path, json.dumps(value, ensure_ascii=False, default=str))]
    return [leaf for key, inner in items for leaf in _leaves(inner, key)]


def _differences(options: Sequence[dict[str, str]]) -> list[tuple[str, list[str | None]]]:
    paths = dict.fromkeys(path for one in options for path in one)
    rows = [(path, [one.get(path) for one in options]) for path in paths]
    return [(path, values) for path, values in rows if len(set(values)) > 1]
