"""Subject: a run as a page tells of it, and the sections that its records alone give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Any

from cnnkit.arrays import counted
from cnnkit.base import Data, Layer
from cnnkit.model import Model
from cnnkit.report.charts import Chart, Series, line_chart
from cnnkit.runs.directory import StoredRun
from cnnkit.runs.figures import figure_rows
from cnnkit.specfile.runspec import RunSpec

_FINE = 60
"""Points at which a schedule is drawn."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A run, as far as it can be had.

    Args:
        path: its folder.
        spec: what it was asked.
        epochs: the records of its epochs.
        summary: what summary.json says; empty where the run did not finish.
        note: how it stands, where it did not.
        env: what env.json says.
        model: the network; None where it saved none.
        data: what it was trained on; None where it cannot be had, and `missing` says why.
    """

    path: Path
    spec: RunSpec
    epochs: Sequence[dict[str, Any]]
    summary: dict[str, Any]
    note: str
    env: dict[str, Any]
    model: Model | None = None
    data: Data | None = None
    missing: str = ""
    files: dict[str, str] = field(default_factory=dict)

    @property
    def test(self) -> dict[str, Any]:
        """Loss and metrics on the test images; empty where there are none."""
        found = self.summary.get("test")
        return found if isinstance(found, dict) else {}


def subject_of(
    stored: StoredRun, spec: RunSpec, model: Model | None, data: Data | None, missing: str = ""
) -> Subject:
    """Return a run as its folder tells of it.

    Raises:
        RunError: where a record is damaged.
    """
    done = (stored.path / "summary.json").exists()
    summary = stored.facts("summary.json") if done else {}
    has_env = (stored.path / "env.json").exists()
    env = stored.facts("env.json") if has_env else {}
    files = {"spec.toml": stored.spec_text, "resolved.toml": stored.resolved}
    for file in sorted(stored.path.glob("included-*.toml")):
        files[file.name] = file.read_text(encoding="utf-8", errors="replace")
    return Subject(
        stored.path, spec, stored.epochs(), summary, "" if done else stored.unfinished(), env,
        model, data, missing, files,
    )  # fmt: skip


def title(subject: Subject) -> str:
    """Return what a run came to, as a heading."""
    name, test = subject.spec.name, subject.test
    images = _images(subject)
    if isinstance(accuracy := test.get("accuracy"), float):
        return f"{name} names {accuracy:.1%} of {images} right"
    if isinstance(loss := test.get("loss"), float):
        return f"{name} reached a loss of {loss:.4g} on {images}"
    last = subject.epochs[-1] if subject.epochs and subject.summary else {}
    validation = _table(last.get("validation"))
    if isinstance(accuracy := validation.get("accuracy"), float):
        return f"{name} names {accuracy:.1%} of the validation images right"
    if isinstance(loss := validation.get("loss", last.get("train_loss")), float):
        return f"{name} reached a {'validation' if validation else 'training'} loss of {loss:.4g}"
    return f"{name} did not finish"


def _images(subject: Subject) -> str:
    count = sum(map(sum, subject.test.get("confusion") or []))
    count = count or (len(subject.data.test) if subject.data else 0)
    return f"{count:,} test images" if count else "the test images"


def asked(subject: Subject) -> dict[str, str]:
    """Return what the spec asked for, in words."""
    spec = subject.spec
    train, optimizer = spec.train, spec.optimizer
    changed = optimizer.model_dump(mode="json", exclude_defaults=True, exclude={"schedule"})
    told = ", ".join(name if value is True else f"{name} {value}"
                     for name, value in changed.items())  # fmt: skip
    schedule = optimizer.schedule
    warm = f", after {counted(schedule.warmup, 'epoch')} of warm-up" if schedule.warmup else ""
    return {
        "Data": str(subject.summary.get("dataset", spec.data.type)),
        "Layers": in_a_line(spec.model.layers),
        "Loss": spec.loss.type,
        "Optimizer": f"{optimizer.type}, {told}",
        "Learning rate": f"{schedule.type}{warm}",
        "Training": f"{counted(train.epochs, 'epoch')}, {counted(train.batch, 'image')} a step, "
        f"seed {spec.seed}",
    }


def in_a_line(layers: Sequence[Layer]) -> str:
    """Return a network as "conv 6 → relu → stem": types, with filters or units; or names."""
    amounts = [getattr(one, "filters", None) or getattr(one, "units", None) for one in layers]
    return " → ".join(f"{one.name or one.type}{f' {n}' if isinstance(n, int) else ''}"
                      for one, n in zip(layers, amounts, strict=True))  # fmt: skip


def reached(subject: Subject) -> dict[str, str]:
    """Return the figures on the test images, and what training took."""
    found = dict(figure_rows(subject.test))
    train = subject.summary.get("train")
    if isinstance(train, dict) and isinstance(train.get("seconds"), float):
        found["training"] = f"{train['seconds']:.1f} s"
        if isinstance(speed := train.get("samples_per_second"), float):
            found["images a second"] = f"{speed:,.0f}"
    if subject.model is not None:
        found["weights"] = f"{sum(row.weights for row in subject.model.summary()):,}"
    return found


def curve(epochs: Sequence[dict[str, Any]], part: str, figure: str) -> list[tuple[float, float]]:
    """Return (epoch, figure) of the "train" or "validation" part, where it was measured."""
    found = []
    for record in epochs:
        values = {"loss": record.get("train_loss")} if part == "train" else record.get(part)
        value = values.get(figure) if isinstance(values, dict) else None
        if isinstance(value, int | float) and isinstance(record.get("epoch"), int):
            found.append((float(record["epoch"]), float(value)))
    return found


def unsteady(epochs: Sequence[dict[str, Any]]) -> list[str]:
    """Say what became of steps whose numbers were not finite; mostly nothing."""
    found = []
    for name in ("skipped", "rollbacks"):
        counts = [one[name] for one in epochs if isinstance(one.get(name), int) and one[name]]
        times, where = sum(counts), counted(len(counts), "epoch")
        what = f"{counted(times, 'step')} in {where} gave no update"
        if name == "rollbacks":
            half = "began again with half the learning rate"
            what = f"{where} {half}, {counted(times, 'time')} in all"
        found += [f"{what}, as numbers were not finite; log.txt says where"] * bool(counts)
    return found


def learning(subject: Subject) -> tuple[str, list[Chart]]:
    """Return what the curves say, and the curves: loss, validation figures, learning rate."""
    schedule = _schedule(subject)
    charts = [*curves(subject.epochs), *([schedule] if schedule else [])]
    return _said_of(_losses(subject.epochs)), charts


def curves(epochs: Sequence[dict[str, Any]]) -> list[Chart]:
    """Return the curves of the loss and of the figures on the validation images, as far as there
    are two epochs that have them."""
    names = {n for e in epochs for n, v in (e.get("validation") or {}).items()
             if isinstance(v, float) and n != "loss"}  # fmt: skip
    figures = [Series(n.replace("_", " "), curve(epochs, "validation", n)) for n in sorted(names)]
    title = "On the validation images"
    charts = [
        line_chart("Loss", "epoch", "loss", _losses(epochs), zero=True, whole=True),
        line_chart(title, "epoch", "share or figure", figures, whole=True),
    ]
    return [chart for chart in charts if chart]


def _losses(epochs: Sequence[dict[str, Any]]) -> list[Series]:
    found = [Series(part, curve(epochs, part, "loss")) for part in ("train", "validation")]
    return [series for series in found if series.points]


def _said_of(losses: Sequence[Series]) -> str:
    if not losses:
        return "No epoch was finished"
    name, points = losses[-1].name, losses[-1].points
    if len(points) == 1:
        found = " and ".join(f"{s.points[0][1]:.4g} ({s.name})" for s in losses)
        return f"After one epoch the loss is {found}"
    best, last = min(points, key=lambda point: point[1]), points[-1]
    if best is last:
        fell = f"from {points[-2][1]:.4g} to {last[1]:.4g}"
        return f"The {name} loss still fell in the last epoch, {fell}"
    return f"The {name} loss was lowest after epoch {best[0]:g} of {last[0]:g} ({best[1]:.4g})"


def _schedule(subject: Subject) -> Chart | None:
    """Draw the learning rate as it was: step by step, or where callbacks had a hand in it, as it is
    on record for the end of each epoch."""
    optimizer, epochs = subject.spec.optimizer, subject.spec.train.epochs
    used = [(e["epoch"], e["lr"]) for e in subject.epochs if isinstance(e.get("lr"), float)]
    title = f"Learning rate ({optimizer.schedule.type})"

    def planned(at: float) -> float:
        return optimizer.lr * float(optimizer.schedule.multiplier(at, epochs))

    def is_planned(at: int, lr: float) -> bool:  # the last step of all has the rate of its middle
        low, high = sorted([planned(at), planned(at - 0.5)])
        return isclose(lr, planned(at)) or (at == epochs and low <= lr <= high)

    try:
        points = [(at, planned(at)) for at in (epochs * (i or 0.02) / _FINE
                                               for i in range(_FINE + 1))]  # fmt: skip
        changed = not all(is_planned(at, lr) for at, lr in used)
    except Exception:  # of a plugin, which has trained all the same
        return None
    if changed or "stopped" in subject.summary:
        points, title = used, f"{title[:-1]}, changed or ended by callbacks)"
    return line_chart(title, "epoch", "rate", [Series("rate", points, plain=True)], zero=True)


def environment_rows(env: dict[str, Any]) -> dict[str, str]:
    """Return what env.json says of machine and versions."""
    cpu, numpy = _table(env.get("cpu")), _table(env.get("numpy"))
    blas = env.get("blas")
    found = {
        "cnnkit": env.get("cnnkit"),
        "Python": env.get("python"),
        "NumPy": numpy.get("version"),
        "System": env.get("os"),
        "Processor": f"{cpu.get('model')}, {cpu.get('count')} cores" if cpu else None,
        "BLAS": ", ".join(f"{b.get('library')} {b.get('version')} for {b.get('kernel')}"
                          for b in blas if isinstance(b, dict)) if isinstance(blas, list) else None,
        "Data": _table(env.get("data")).get("sha256"),
        "Backend": _table(env.get("backend")).get("type"),
        "Plugins": json.dumps(_foreign(_table(env.get("plugins"))), ensure_ascii=False),
    }  # fmt: skip
    return {name: str(value) for name, value in found.items() if value not in (None, "", "{}")}


def _foreign(plugins: dict[str, Any]) -> dict[str, Any]:
    """Leave out the types that came with cnnkit."""
    return {name: who for name, who in plugins.items() if not str(who).startswith("cnnkit ")}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
