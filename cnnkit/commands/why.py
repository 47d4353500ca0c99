"""`cnnkit why`: say what stands out in how a run went, with evidence and something to try."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnkit.base import DataPaths
from cnnkit.base.place import spoken
from cnnkit.commands._console import emit, emit_json, table
from cnnkit.commands._plugins import begin
from cnnkit.commands.evaluate import data_of
from cnnkit.errors import CnnkitError
from cnnkit.model import Model
from cnnkit.registry import Registry
from cnnkit.report.causes import Finding, alike, causes
from cnnkit.report.course import Course
from cnnkit.runs import rates
from cnnkit.runs.data import data_paths
from cnnkit.runs.directory import StoredRun, find_run
from cnnkit.runs.prepare import prepare
from cnnkit.specfile.runspec import RunSpec

if TYPE_CHECKING:
    from rich.table import Table

_NEAR = 10
"""Times that a rate may be off that of a range test, which sees a few steps alone."""


def why(
    run: Path,
    /,
    *,
    figures: bool = False,
    range_test: bool = False,
    data_dir: Path | None = None,
    json: bool = False,
) -> None:
    """Say what stands out in how a run went, the likeliest cause first, each with its evidence and
    one thing to try; "nothing stands out" where nothing does.

    Args:
        run: a run directory.
        figures: print gradients, updates and silent units by layer and epoch as well.
        range_test: hold the learning rate against a range test as well, as `cnnkit lr` makes it,
            unless it is the data that stand out.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        json: print one JSON document, figures included.
    """
    news, registry = begin()
    stored = find_run(run)
    if note := stored.unfinished():
        news.say(note)
    spec = stored.spec(registry)
    course = Course.of(stored, spec, cache(partial(_neighbours, stored, spec, registry, data_dir)))
    found, unseen = causes(course), list(_unseen(course))
    for line in unseen:
        news.say(f"note: {line}")
    paths = data_paths(spec, data_dir, news.say, progress=news.screen.is_terminal)
    found, tested = _with_range(found, spec, paths) if range_test else (found, [])
    if json:
        facts = {"findings": [asdict(one) for one in found + tested], "unseen": unseen}
        emit_json({"run": str(run), **facts, "vitals": course.looks})
        return
    emit("\n".join(map(_told, found)) or "nothing stands out", *map(_told, tested))
    if figures and course.looks:
        emit("", _figures(course))


def _told(one: Finding) -> str:
    return "\n".join([one.said, *(f"  {line}" for line in one.evidence), f"  try: {one.advice}"])


def _with_range(
    found: list[Finding], spec: RunSpec, paths: DataPaths
) -> tuple[list[Finding], list[Finding]]:
    """Return what was found, and what a range test adds; where a rate was found to be wrong, it
    says which one to try, and where the data are, it would only say that again."""
    if any(one.cause in ("unscaled", "labels") for one in found):
        return found, []
    test, is_far = _against_range(spec, paths)
    wrong = [one for one in found if one.cause in ("rate_high", "rate_low")]
    if not (wrong and is_far):
        return found, [test]
    told = [replace(one, evidence=(*one.evidence, test.said, *test.evidence), advice=test.advice)
            if one in wrong else one for one in found]  # fmt: skip
    return told, []


def _against_range(spec: RunSpec, paths: DataPaths) -> tuple[Finding, bool]:
    """Hold a run's rate against a range test of its spec; tell if it is far from that.

    Raises:
        DataError: where its data cannot be had.
    """
    found, lr = rates.range_test(prepare(spec, paths)), spec.optimizer.lr
    losses, best = found.smoothed(), found.suggestion()
    lowest = int(losses.argmin())
    fell = (
        f"from lr = {found.rates[0]:g} to {found.rates[lowest]:.2g} the loss goes from "
        f"{losses[0]:.3g} to {losses[lowest]:.3g}; the test ended where {found.ended}"
    )
    said = f"the learning rate against the range test: lr = {lr:g}, where the loss falls "
    if best is None:
        one = Finding("range_test", f"{said}at no rate", (fell,), "cnnkit run SPEC --overfit")
        return one, False
    near = best / _NEAR <= lr <= best * _NEAR
    advice = f"lr = {lr:g} as it is: it is within {_NEAR} times that" if near else f"lr = {best:g}"
    return Finding("range_test", f"{said}fastest at {best:g}", (fell,), advice), not near


def _neighbours(
    stored: StoredRun, spec: RunSpec, registry: Registry, data_dir: Path | None
) -> float | None:
    """Return how often the most similar training image has the same label."""
    try:
        model = Model.load(stored.checkpoint("last"), registry)
        data = data_of(spec, stored, data_paths(spec, data_dir, lambda line: None), model)
        return alike(data.train.images, data.train.labels)
    except (CnnkitError, ValueError):  # it is one more figure, and the rest stands without
        return None


def _unseen(course: Course) -> Iterator[str]:
    """Yield what the records do not show."""
    if not course.looks:
        yield "the run has no vitals.jsonl: units, gradients and updates could not be seen"
    elif not any(look["activations"] for look in course.looks):
        yield (
            "no layer was seen from within: the backend computes several at once, or none is an "
            "activation"
        )
    if not course.epochs:
        yield "no epoch of the run is finished: there is nothing to judge its course by"
    elif not course.losses("validation"):
        yield "no images were set aside: training could not be held against validation"


def _figures(course: Course) -> Table:
    """Return a row for each layer and look."""
    made = table("layer", "epoch", "gradient", "update", "silent", "saturated",
                 right=("epoch", "gradient", "update", "silent", "saturated"))  # fmt: skip
    parts = [part for look in course.looks for part in (look["weights"], look["activations"])]
    for path in sorted({path for part in parts for path in part}, key=_place):
        for look in course.looks:
            made.add_row(spoken(path), str(look["epoch"]), *_row(look, path))
    return made


def _place(path: str) -> list[tuple[int, str]]:
    return [(int(head) if (head := part.partition("_")[0]).isdecimal() else 0, part)
            for part in path.split("/")]  # fmt: skip


def _row(look: dict[str, Any], path: str) -> Iterator[str]:
    weights, acts = look["weights"].get(path, {}), look["activations"].get(path, {})
    for name in ("gradient", "update"):
        yield "" if weights.get(name) is None else f"{weights[name]:.2g}"
    yield f"{acts['silent']}/{acts['units']}" if acts else ""
    yield "" if acts.get("flat") is None else f"{acts['flat']:.0%}"
