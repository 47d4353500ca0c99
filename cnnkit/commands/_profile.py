"""The table of `cnnkit show --profile`: time and arithmetic speed of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cnnkit.base import Signature
from cnnkit.base.place import place_of
from cnnkit.commands._console import table
from cnnkit.engine.plan import make_plan
from cnnkit.engine.profile import Timing, profile
from cnnkit.model import Model
from cnnkit.spec.runspec import RunSpec
from cnnkit.spec.shard import shard_size

_FIGURES = ("forward, us", "backward, us", "share", "GFLOP/s", "GFLOP/s back")


def timings(spec: RunSpec, shape: tuple[int, ...], signature: Signature | None) -> list[Timing]:
    """Build the network and time its layers on random images of `shape`."""
    classes = tuple(map(str, range(signature.classes if signature else 2)))
    model = Model.build(spec.model.layers, shape, dtype=spec.model.dtype, classes=classes)
    return profile(model, make_plan(model.network, spec.loss), spec.train.batch)


def profile_table(rows: Sequence[Timing]) -> Any:
    """Return the table, with totals."""
    made = table("layer", "type", *_FIGURES, right=_FIGURES)
    total = sum(row.forward + row.backward for row in rows)
    for row in rows:
        made.add_row(
            *place_of(row.path), _us(row.forward), _us(row.backward),
            f"{(row.forward + row.backward) / total:.0%}",
            _rate(row.forward_flops, row.forward), _rate(row.backward_flops, row.backward),
        )  # fmt: skip
    forward, backward = sum(r.forward for r in rows), sum(r.backward for r in rows)
    flops = [sum(getattr(r, f"{turn}_flops") for r in rows) for turn in ("forward", "backward")]
    totals = ("total", "", _us(forward), _us(backward), "",
              _rate(flops[0], forward), _rate(flops[1], backward))  # fmt: skip
    made.show_footer = True
    for column, text in zip(made.columns, totals, strict=True):
        column.footer = text
    return made


def profile_remark(spec: RunSpec) -> str:
    """Say what was measured."""
    return (
        f"\nMedian times per image of a training step on one thread, {spec.model.dtype}, "
        f"{shard_size(spec.train.batch)} images at a time as for a batch of {spec.train.batch}; "
        "the optimizer and the images' conversion are not in it. Layers stand in the order in "
        "which they run. GFLOP/s counts 2 per multiply-accumulate."
    )


def profile_document(rows: Sequence[Timing]) -> list[dict[str, Any]]:
    """Return the rows as plain data; times are seconds per image."""
    return [asdict(row) for row in rows]


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.1f}"


def _rate(flops: int, seconds: float) -> str:
    return f"{flops / seconds / 1e9:.1f}" if flops and seconds else "-"
