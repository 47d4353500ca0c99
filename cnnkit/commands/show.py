"""`cnnkit show`: a spec's layers and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnkit.engine.profile import Timing

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from cnnkit.arrays import Shape, default_shard, size
from cnnkit.base import DataPaths, DatasetInfo
from cnnkit.base import show as show_shape
from cnnkit.base.place import place_of
from cnnkit.commands._console import News, emit, emit_json, table
from cnnkit.commands._plugins import warn_of_broken, warn_of_rivals
from cnnkit.errors import SpecError
from cnnkit.plugins import load_plugins
from cnnkit.specfile.checks import dataset_info, network_input
from cnnkit.specfile.load import load_spec
from cnnkit.specfile.runspec import RunSpec
from cnnkit.summary import Row, layer_rows


def input_info(spec: RunSpec) -> tuple[Shape | None, DatasetInfo | None]:
    """Return the shape at the first layer, and what the data says of itself; None if unknown."""
    info = dataset_info(spec.data, DataPaths(spec_dir=spec.source.folder))
    return (network_input(spec.data, info) if info else spec.input_shape), info


_FIGURES = ("forward, us", "backward, us", "share", "GFLOP/s", "GFLOP/s back")


def timings(spec: RunSpec, shape: tuple[int, ...], info: DatasetInfo | None) -> list[Timing]:
    """Build the network and time its layers on random images of `shape`."""
    from cnnkit.engine.plan import make_plan  # all this, which a plain table spares
    from cnnkit.engine.profile import profile
    from cnnkit.model import Model

    classes = tuple(map(str, range(info.classes if info else 2)))
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
        f"{default_shard(spec.train.batch)} images at a time as for a batch of {spec.train.batch}; "
        "the optimizer and the images' conversion are not in it. A relu before a max pool runs "
        "after it. GFLOP/s counts 2 per multiply-accumulate."
    )


def profile_document(rows: Sequence[Timing]) -> list[dict[str, Any]]:
    """Return the rows as plain data; times are seconds per image."""
    return [asdict(row) for row in rows]


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.1f}"


def _rate(flops: int, seconds: float) -> str:
    return f"{flops / seconds / 1e9:.1f}" if flops and seconds else "-"


def show(
    spec: Path, /, *, set: tuple[str, ...] = (), profile: bool = False, json: bool = False
) -> None:
    """Show a spec's layers: output shapes, weights, multiply-accumulates and memory per image.

    Args:
        spec: a TOML file.
        set: KEY=VALUE laid over the spec, such as model.layers.0.filters=8; may be repeated.
        profile: build the network and time each layer, forward and backward.
        json: print one JSON document.
    """
    news, registry = News(), load_plugins()
    warn_of_broken(registry, news)
    loaded = load_spec(spec, set, registry=registry)
    warn_of_rivals(loaded, news)
    shape, info = input_info(loaded)
    if shape is None:
        raise SpecError(
            f"{spec}: shapes are unknown, since {loaded.data.type} is known only once it is "
            "loaded; give the shape of an image as [model] input = [C, H, W]"
        )
    itemsize = np.dtype(loaded.model.dtype).itemsize
    rows = list(layer_rows(loaded.model.layers, shape, itemsize))
    if profile:
        _profile(loaded, shape, info, json)
    elif json:
        emit_json(_document(str(spec), shape, rows))
    else:
        emit(f"{loaded.name}: {loaded.data.type}, images of {show_shape(shape)}\n")
        emit(_table(rows))
        emit(Text(_remark(loaded, rows)))


def _profile(spec: RunSpec, shape: tuple[int, ...], info: DatasetInfo | None, json: bool) -> None:
    rows = timings(spec, shape, info)
    if json:
        emit_json({"input": shape, "profile": profile_document(rows)})
    else:
        emit(profile_table(rows))
        emit(Text(profile_remark(spec)))


def _totals(rows: list[Row]) -> dict[str, int]:
    top = [row for row in rows if row.depth == 0]
    figures = {"weights": "weights", "macs": "macs", "bytes": "memory"}
    return {name: sum(getattr(r, figure) for r in top) for name, figure in figures.items()}


def _document(spec: str, shape: tuple[int, ...], rows: list[Row]) -> dict[str, Any]:
    layers = [
        {"place": row.place, "depth": row.depth, "type": row.layer.type, "shape": row.shape,
         "weights": row.weights, "macs": row.macs, "bytes": row.memory}
        for row in rows
    ]  # fmt: skip
    return {"spec": spec, "input": shape, "layers": layers, "total": _totals(rows)}


def _table(rows: list[Row]) -> Any:
    figures = ("weights", "MACs", "memory")
    made = table("layer", "type", "output", *figures, right=figures)
    for row in rows:
        indent = "  " * row.depth
        made.add_row(
            indent + row.place, indent + row.layer.type, show_shape(row.shape),
            *_figures(row.weights, row.macs, row.memory),
        )  # fmt: skip
    totals = ("total", "", "", *_figures(**_totals(rows)))
    made.show_footer = True
    for column, total in zip(made.columns, totals, strict=True):
        column.footer = total
    return made


def _figures(weights: int, macs: int, bytes: int) -> tuple[str, str, str]:
    return _count(weights), _count(macs), size(bytes)


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def _remark(spec: RunSpec, rows: list[Row]) -> str:
    total = _totals(rows)["bytes"]
    return (
        f"\nMACs (multiply-accumulates) and memory (outputs of layers, {spec.model.dtype}) are per "
        f"image; a batch of {spec.train.batch} takes {size(total * spec.train.batch)}."
    )
