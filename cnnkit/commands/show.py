"""`cnnkit show`: a spec's layers and what they cost, and how a run stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from cnnkit.arrays import Shape, default_shard, size
from cnnkit.base import DatasetInfo
from cnnkit.base import show as show_shape
from cnnkit.base.place import place_of
from cnnkit.commands._console import emit, emit_json, facts, table
from cnnkit.commands._plugins import advise, begin, read_spec
from cnnkit.errors import SpecError
from cnnkit.registry import Registry
from cnnkit.runs.directory import StoredRun, find_run
from cnnkit.runs.listing import standing
from cnnkit.specfile.checks import input_info, training_memory
from cnnkit.specfile.runspec import RunSpec
from cnnkit.summary import Row, layer_rows

if TYPE_CHECKING:
    from cnnkit.engine.profile import Timing


def show(
    spec: Path, /, *, set: tuple[str, ...] = (), profile: bool = False, json: bool = False
) -> None:
    """Show a spec's layers: output shapes, receptive field, weights, multiply-accumulates and
    memory per image; what a practitioner would change; and how a run stands.

    Args:
        spec: a TOML file, or a run directory.
        set: KEY=VALUE laid over the spec, such as model.layers.0.filters=8; may be repeated.
        profile: build the network and time each layer, forward and backward.
        json: print one JSON document.
    """
    news, registry = begin()
    stored = find_run(spec) if spec.is_dir() else None
    loaded = stored.spec(registry, set) if stored else read_spec(spec, set, registry, news)
    shape = _shape(spec, loaded, stored, registry)
    if profile:
        timings = _timings(loaded, shape, input_info(loaded)[1])
        if json:
            emit_json({"input": shape, "profile": [asdict(timing) for timing in timings]})
        else:
            emit(_profile_table(timings), Text(_profile_remark(loaded)))
        return
    warnings = [problem.message for problem in advise(loaded, news)]
    rows = list(layer_rows(loaded.model.layers, shape, np.dtype(loaded.model.dtype).itemsize))
    training = sum(training_memory(loaded, shape)[1])
    if json:
        run = {"run": dict(_state(stored))} if stored else {}
        whole = {"layers": list(map(_facts, rows)), "total": _totals(rows)}
        emit_json({"spec": str(spec), **run, "input": shape, **whole, "training_bytes": training,
                   "warnings": warnings})  # fmt: skip
    else:
        if stored:
            made = facts()
            for name, value in _state(stored):
                made.add_row(name, value if isinstance(value, str) else f"{value:.4f}")
            emit(made, "")
        emit(f"{loaded.name}: {loaded.data.type}, images of {show_shape(shape)}\n", _table(rows),
             Text(_remark(loaded, rows)), _training(training))  # fmt: skip


def _shape(path: Path, spec: RunSpec, run: StoredRun | None, registry: Registry) -> Shape:
    shape, _ = input_info(spec)
    if run and shape is None:
        from cnnkit.model import Model  # which a plain table spares

        shape = Model.load(run.checkpoint("last"), registry).input_shape
    if shape is None:
        raise SpecError(
            f"{path}: shapes are unknown, since {spec.data.type} is known only once it is "
            "loaded; give the shape of an image as [model] input = [C, H, W]"
        )
    return shape


def _state(run: StoredRun) -> Iterator[tuple[str, str | float]]:
    """Yield how a run stands, and the figures of its last epoch and of its end."""
    found = standing(run)
    stands = f"{found.pop('status')} after epoch {found.pop('epoch')}"
    message = found.pop("message")
    yield "status", f"{stands}: {message}" if message else stands
    for part, figures in found.items():
        for name, value in (figures if isinstance(figures, dict) else {}).items():
            yield f"{part} {name.replace('_', ' ')}", value


def _facts(row: Row) -> dict[str, Any]:
    figures = {"weights": row.weights, "macs": row.macs, "bytes": row.memory}
    return {"place": row.place, "depth": row.depth, "type": row.layer.type, "shape": row.shape,
            "field": row.field, **figures}  # fmt: skip


def _totals(rows: Sequence[Row]) -> dict[str, int]:
    top = [_facts(row) for row in rows if row.depth == 0]
    return {name: sum(facts[name] for facts in top) for name in ("weights", "macs", "bytes")}


def _table(rows: Sequence[Row]) -> Table:
    def figures(weights: int, macs: int, bytes: int) -> tuple[str, str, str]:
        return f"{weights:,}" if weights else "-", f"{macs:,}" if macs else "-", size(bytes)

    right = ("field", "weights", "MACs", "memory")
    total = ("total", "", "", "", *figures(**_totals(rows)))
    made = table("layer", "type", "output", *right, right=right, total=total)
    made.padding = (0, 1, 0, 0)  # names are long, and indented
    around: list[str] = []  # the places of the containers
    for row in rows:
        around = [*around[: row.depth], row.place]
        inside = around[-2] if row.depth else ""
        place = "  " * row.depth + row.place.removeprefix(inside).lstrip(".")
        costs = figures(row.weights, row.macs, row.memory)
        field = "x".join(map(str, row.field)) or "-"
        made.add_row(place, row.layer.type, show_shape(row.shape), field, *costs)
    return made


def _remark(spec: RunSpec, rows: Sequence[Row]) -> str:
    total = _totals(rows)["bytes"]
    return (
        "\nThe field is what of the image, and of the padding around it, a value depends on. "
        f"MACs (multiply-accumulates) and memory (outputs of layers, {spec.model.dtype}) are per "
        f"image; a batch of {spec.train.batch} takes {size(total * spec.train.batch)}."
    )


def _training(bytes: int) -> str:
    return f"Training takes about {size(bytes)} in all, gradients and optimizer included."


def _timings(spec: RunSpec, shape: Shape, info: DatasetInfo | None) -> list[Timing]:
    """Build the network and time its layers on random images of `shape`."""
    from cnnkit.engine.profile import profile
    from cnnkit.model import Model
    from cnnkit.plan import make_plan  # all this, which a plain table spares

    classes = tuple(map(str, range(info.classes if info else 2)))
    model = Model.build(spec.model.layers, shape, dtype=spec.model.dtype, classes=classes)
    return profile(model, make_plan(model.network, spec.loss), spec.train.batch)


def _profile_table(timings: Sequence[Timing]) -> Table:
    def rate(flops: int, seconds: float) -> str:
        return f"{flops / seconds / 1e9:.1f}" if flops and seconds else "-"

    def figures(*of: Timing, share: str = "") -> tuple[str, ...]:
        forward, backward = sum(t.forward for t in of), sum(t.backward for t in of)
        return (
            f"{forward * 1e6:.1f}", f"{backward * 1e6:.1f}", share,
            rate(sum(t.forward_flops for t in of), forward),
            rate(sum(t.backward_flops for t in of), backward),
        )  # fmt: skip

    right = ("forward, us", "backward, us", "share", "GFLOP/s", "GFLOP/s back")
    made = table("layer", "type", *right, right=right, total=("total", "", *figures(*timings)))
    whole = sum(t.forward + t.backward for t in timings)
    for one in timings:
        share = f"{(one.forward + one.backward) / whole:.0%}"
        made.add_row(*place_of(one.path), *figures(one, share=share))
    return made


def _profile_remark(spec: RunSpec) -> str:
    return (
        f"\nMedian times per image of a training step on one thread, {spec.model.dtype}, "
        f"{default_shard(spec.train.batch)} images at a time as for a batch of {spec.train.batch}; "
        "the optimizer and the images' conversion are not in it. A relu before a max pool runs "
        "after it. GFLOP/s counts 2 per multiply-accumulate."
    )
