"""`cnnkit runs`: all runs in a folder, how they stand and what differs between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from cnnkit.commands._console import emit, emit_json, table
from cnnkit.commands.diff import shown
from cnnkit.errors import CnnkitError, RunError
from cnnkit.plugins import load_plugins
from cnnkit.runs.listing import MISSING, Values, by_path, differing, list_runs

_PARTS = ("test", "validation", "train")
_GAP = 3  # blanks between columns


def runs(folder: Path = Path("runs"), /, *, sort: str | None = None, json: bool = False) -> None:
    """List the runs in a folder: how they stand, their figures, and the options that differ.

    Args:
        folder: where to look, at any depth; by default runs.
        sort: a figure or an option, such as test.accuracy, train.loss, seconds or optimizer.lr: the
            best run comes first, or the smallest value; by default the names.
        json: print one JSON document.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}; expected one that holds runs")
    rows = list_runs(folder)
    if sort is not None:
        rows = _sorted(rows, sort)
    keys = differing([row["options"] for row in rows if row["status"] != "broken"])
    if json:
        whole = [{**row, "options": {k: row["options"][k] for k in keys if k in row["options"]}}
                 for row in rows]  # fmt: skip
        emit_json({"folder": str(folder), "differs": keys, "runs": whole})
    elif not rows:
        emit(f"no runs in {folder}")
    else:
        _print(rows, keys, sort)


def _sorted(rows: list[Values], key: str) -> list[Values]:
    """Return the rows in the order of a figure or an option, whose last parts may do; those without
    it come last.

    Raises:
        CnnkitError: where no run has it.
    """
    values = [_values(row) for row in rows]
    known = sorted({name for one in values for name in one} - {"message"})
    tails = [name for name in known if f".{name}".endswith(f".{key}")]
    if len(tails) == 1:
        key = tails[0]
    elif rows and key not in known:
        from cnnkit.diagnosis.problems import did_you_mean

        meant = did_you_mean(key, known)
        note = f'; did you mean "{meant}"?' if meant else ""
        figures = {
            f"{part}.{name}" for row in rows for part in _PARTS for name in row.get(part, ())
        }
        raise CnnkitError(
            f'no run has "{key}" to sort by{note}\n   = help: what they have are options such as '
            f"optimizer.lr, and {', '.join(['seconds', 'epoch', *sorted(figures)])}"
        )
    metrics = load_plugins().entries("metrics")
    best = {entry.type for entry in metrics if getattr(entry.cls, "better", "") == "higher"}
    part, _, figure = key.partition(".")
    sign = -1 if part in _PARTS and figure in best else 1

    def place(index: int) -> tuple[int, float, str, int]:
        value = values[index].get(key, MISSING)
        if isinstance(value, int | float):
            return 0, sign * value, "", index
        return (2, 0, "", index) if value is MISSING else (1, 0, str(value), index)

    return [rows[index] for index in sorted(range(len(rows)), key=place)]


def _values(row: Values) -> Values:
    """Return what a run may be sorted by, by key path."""
    options: Values = row["options"]
    return options | by_path({k: v for k, v in row.items() if k != "options"})


def _print(rows: Sequence[Values], differs: Sequence[str], sort: str | None) -> None:
    """Print the table, with as many of the options that differ as there is room for."""
    from cnnkit.commands._screen import Screen

    keys = [key for key in differs if key not in ("name", "train.epochs")]  # are there already
    keys.sort(key=lambda key: key.startswith("model.layers"))  # which may be many
    columns: dict[str, list[str]] = {
        "run": [row["path"] for row in rows],
        "status": [str(row["status"]) for row in rows],
        "epochs": [_epochs(row) for row in rows],
        **dict([_main_figure(rows, sort)]),
        "time": [_time(row.get("seconds")) for row in rows],
    }
    number, left = len(columns), Screen().width
    left -= sum(_width(name, cells) + _GAP for name, cells in columns.items()) - _GAP
    for name, key in zip(_short(keys), keys, strict=True):
        cells = [_option(row, key) for row in rows]
        if (width := _width(name, cells) + _GAP) <= left:
            columns[name], left = cells, left - width
    emit(_table(columns))
    if more := len(keys) - (len(columns) - number):
        what = "1 more option differs" if more == 1 else f"{more} more options differ"
        emit("", f"{what}; a wider terminal, --json and `cnnkit diff RUN RUN` show more")
    if broken := [row for row in rows if row["status"] == "broken"]:
        emit("", *(f"broken: {row['path']}: {row['message']}" for row in broken))


def _table(columns: dict[str, list[str]]) -> Table:
    made = table(*columns, right=[name for name in columns if name not in ("run", "status")])
    made.columns[0].overflow = "fold"
    for cells in zip(*columns.values(), strict=True):
        made.add_row(*cells)
    return made


def _width(name: str, cells: Sequence[str]) -> int:
    return max(map(len, [name, *cells]))


def _epochs(row: Values) -> str:
    total = row["options"].get("train.epochs")
    return f"{row.get('epoch')}/{total}" if total else "-"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    sizes: list[tuple[float, str]] = [(3600, "h"), (60, "min"), (1, "s")]
    unit, name = next((one for one in sizes if seconds >= 2 * one[0]), sizes[-1])
    return f"{seconds / unit:.1f} {name}"


def _main_figure(rows: Sequence[Values], sort: str | None) -> tuple[str, list[str]]:
    """Return the heading and the cells of the figure that is asked for; or of accuracy, or the
    loss where nobody measured that, on the test images, or else on others."""
    part, _, figure = (sort or "").partition(".")
    if part in _PARTS:
        return str(sort), [_number(row.get(part, {}).get(figure)) for row in rows]
    measured = any("accuracy" in row.get(part, {}) for row in rows for part in _PARTS)
    name = "accuracy" if measured else "loss"
    return name, [_best_known(row, name) for row in rows]


def _best_known(row: Values, name: str) -> str:
    part = next((part for part in _PARTS if name in row.get(part, {})), "")
    return _number(row[part][name]) + f" {part[:5]}" * (part != "test") if part else "-"


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4f}"


def _option(row: Values, key: str) -> str:
    value = row["options"].get(key, MISSING)
    return value if isinstance(value, str) and len(value) <= 16 else shown(value)


def _short(keys: Sequence[str]) -> list[str]:
    """Return the keys as headings: as few of their last parts as tell them apart."""
    tail: Callable[[str, int], str] = lambda key, n: ".".join(key.split(".")[-n:])  # noqa: E731
    made = list(keys)
    for n in (3, 2, 1):
        count = Counter(tail(key, n) for key in keys)
        made = [tail(key, n) if count[tail(key, n)] == 1 else name
                for key, name in zip(keys, made, strict=True)]  # fmt: skip
    return made
