"""`cnnkit lr`: find a learning rate."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, log10
from pathlib import Path

from cnnkit.commands._bar import chart
from cnnkit.commands._console import emit, emit_json
from cnnkit.commands._plugins import begin, read_spec, with_backend
from cnnkit.commands._screen import Screen
from cnnkit.runs.data import data_paths
from cnnkit.runs.prepare import prepare
from cnnkit.runs.rates import RangeTest, range_test

_ROWS, _WIDEST, _MARGIN = 8, 100, 8


def lr(
    spec: Path,
    /,
    *,
    set: tuple[str, ...] = (),
    data_dir: Path | None = None,
    no_fallback: bool = False,
    backend: str | None = None,
    json: bool = False,
) -> int:
    """Find a learning rate: train a few steps while it grows from 1e-6 to 10, and name the one at
    which the loss falls fastest.

    Nothing is written. The exit code is 1 where the loss falls at no rate.

    Args:
        spec: a TOML file.
        set: KEY=VALUE laid over the spec, such as train.batch=64; may be repeated.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        no_fallback: fail where the data cannot be had, whatever fallback the spec has.
        backend: what computes, such as native; as --set train.backend=native.
        json: print one JSON document.
    """
    news, registry = begin()
    loaded = read_spec(spec, with_backend(set, backend), registry, news)
    paths = data_paths(loaded, data_dir, news.say, progress=news.screen.is_terminal)
    ready = prepare(loaded, paths, not no_fallback)
    found = range_test(ready)
    best = found.suggestion()
    if json:
        emit_json({"spec": str(spec), "dataset": ready.dataset.type, "rates": found.rates,
                   "losses": found.losses, "smoothed": found.smoothed().tolist(),
                   "ended": found.ended, "suggestion": best})  # fmt: skip
    else:
        emit(f"{loaded.name}: loss at growing rates of {loaded.optimizer.type}, batches of "
             f"{loaded.train.batch} of {ready.dataset.type}", "", *_curve(found, best, Screen()),
             "", f"ended where {found.ended}", *_advice(best))  # fmt: skip
    return int(best is None)


def _advice(best: float | None) -> Iterator[str]:
    if best is not None:
        yield f"suggestion: lr = {best:g} in [optimizer], or --set optimizer.lr={best:g}"
        return
    yield "no suggestion: within so few steps the loss falls at no rate"
    yield "`cnnkit run SPEC --overfit` says whether the network learns at all"


def _curve(found: RangeTest, best: float | None, screen: Screen) -> Iterator[str]:
    """Yield the lines of the smoothed losses over the rates, to powers of ten."""
    losses = found.smoothed().tolist()
    shown = [min(loss, 1.5 * losses[0]) for loss in losses]  # where it ends it may be huge
    width = max(1, min(len(shown), _WIDEST, screen.width - _MARGIN))
    lines = chart(shown, width, _ROWS, screen.options.ascii_only)
    ends = {0: f"{max(shown):.3g}", _ROWS - 1: f"{min(shown):.3g}"}
    for row, line in enumerate(lines):
        yield f"{ends.get(row, ''):>{_MARGIN - 2}} {line}"
    first, last = log10(found.rates[0]), log10(found.rates[-1])

    def column(rate: float) -> int:
        return round((log10(rate) - first) / (last - first) * (width - 1))

    if best is not None:
        yield f"{' ' * (_MARGIN - 1 + column(best))}^"
    axis = ""
    for power in range(round(first), floor(last + 1e-9) + 1):
        at, label = column(10.0**power), f"{10.0**power:g}"
        if at >= len(axis) + bool(axis) and at + len(label) <= width:
            axis = f"{axis:{at}}{label}"
    yield f"{'rate':>{_MARGIN - 2}} {axis}"
