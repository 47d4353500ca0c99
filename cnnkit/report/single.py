"""The page of one run: what was asked and reached, how it learned, and where it is wrong."""

from __future__ import annotations

import shlex
from typing import Any

from cnnkit.report.inside import kernels, layer_table, strips
from cnnkit.report.judged import class_rows, confusion, extremes, judge, pairs, reliability
from cnnkit.report.page import render
from cnnkit.report.subject import (
    Subject,
    asked,
    environment_rows,
    learning,
    reached,
    title,
    unsteady,
)
from cnnkit.runs.kept import plugin_flags


def run_page(subject: Subject) -> str:
    """Return the page of a run; sections for which something is missing are left out."""
    model, data = subject.model, subject.data
    classes = model.classes if model else data.classes if data else ()
    matrix = subject.test.get("confusion")
    judged = judge(model, data) if model and data and len(data.test) else None
    if not matrix and judged is not None:
        matrix = _counts(judged.split.labels, judged.guesses, len(judged.classes))
    said, charts = learning(subject)
    return render(
        "report.html",
        title=title(subject),
        subject=subject,
        asked=asked(subject),
        reached=reached(subject),
        remarks=_remarks(subject),
        learned=said,
        charts=charts,
        confusion=confusion(matrix, classes),
        classes=class_rows(matrix, classes),
        pairs=pairs(judged) if judged else [],
        extremes=extremes(judged) if judged else [],
        reliability=reliability(judged) if judged else None,
        looked_at=len(judged.guesses) if judged else 0,
        kernels=kernels(model) if model else [],
        strips=strips(model, data, judged.values) if model and data and judged else None,
        layers=layer_table(model, subject.spec) if model else None,
        environment=environment_rows(subject.env),
        commands=_commands(subject),
    )


def _remarks(subject: Subject) -> list[str]:
    remarks = subject.summary.get("remarks")
    found = [str(one) for one in remarks] if isinstance(remarks, list) else []
    used, wanted = subject.summary.get("dataset"), subject.spec.data.type
    if isinstance(used, str) and used != wanted:
        found.insert(0, f"{wanted} could not be had: these are figures of {used}")
    return found + unsteady(subject.epochs)


def _counts(labels: Any, guesses: Any, classes: int) -> list[list[int]]:
    counts = [[0] * classes for _ in range(classes)]
    for true, guess in zip(labels.tolist(), guesses.tolist(), strict=True):
        if guess < classes:
            counts[true][guess] += 1
    return counts


def _commands(subject: Subject) -> list[tuple[str, str]]:
    """Return the commands that do it again, and that go on from here."""
    flags = plugin_flags(subject.path)
    run = shlex.quote(str(subject.path)) + flags
    resolved = shlex.quote(str(subject.path / "resolved.toml")) + flags
    return [
        (f"cnnkit run {resolved}", "trains the same network anew: the same bits on this machine"),
        (f"cnnkit evaluate {run}", "judges it on its test images once more"),
        (f"cnnkit predict {run} FILES", "names the classes of pictures"),
        (f"cnnkit report {run}", "writes this page anew"),
    ]
