"""`cnnkit show`: a spec's layers and what they cost."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from cnnkit.base import Signature
from cnnkit.base import show as show_shape
from cnnkit.commands._console import News, emit, emit_json, table
from cnnkit.commands._known import known
from cnnkit.commands._plugins import warn_of_broken, warn_of_rivals
from cnnkit.commands._rows import Row, layer_rows
from cnnkit.errors import SpecError
from cnnkit.plugins import load_plugins
from cnnkit.spec.reader import load_spec
from cnnkit.spec.runspec import RunSpec


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
    shape, signature = known(loaded)
    if shape is None:
        raise SpecError(
            f"{spec}: shapes are unknown, since {loaded.data.type} is known only once it is "
            "loaded; give the shape of an image as [model] input = [C, H, W]"
        )
    itemsize = np.dtype(loaded.model.dtype).itemsize
    rows = list(layer_rows(loaded.model.layers, shape, itemsize))
    if profile:
        _profile(loaded, shape, signature, json)
    elif json:
        emit_json(_document(str(spec), shape, rows))
    else:
        emit(f"{loaded.name}: {loaded.data.type}, images of {show_shape(shape)}\n")
        emit(_table(rows))
        emit(Text(_remark(loaded, rows)))


def _profile(
    spec: RunSpec, shape: tuple[int, ...], signature: Signature | None, json: bool
) -> None:
    from cnnkit.commands import _profile as page  # brings the engine, which a plain table spares

    rows = page.timings(spec, shape, signature)
    if json:
        emit_json({"input": shape, "profile": page.profile_document(rows)})
    else:
        emit(page.profile_table(rows))
        emit(Text(page.profile_remark(spec)))


def _totals(rows: list[Row]) -> dict[str, int]:
    top = [row for row in rows if row.depth == 0]
    return {name: sum(getattr(r, name) for r in top) for name in ("weights", "macs", "bytes")}


def _document(spec: str, shape: tuple[int, ...], rows: list[Row]) -> dict[str, Any]:
    layers = [asdict(row) for row in rows]
    return {"spec": spec, "input": shape, "layers": layers, "total": _totals(rows)}


def _table(rows: list[Row]) -> Any:
    figures = ("weights", "MACs", "memory")
    made = table("layer", "type", "output", *figures, right=figures)
    for row in rows:
        indent = "  " * row.depth
        made.add_row(
            indent + row.place, indent + row.type, show_shape(row.shape),
            *_figures(row.weights, row.macs, row.bytes),
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


def size(count: float) -> str:
    """Return a number of bytes as people write it.

    >>> size(100), size(4704), size(3 * 2**30)
    ('100 B', '4.6 KiB', '3.0 GiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
