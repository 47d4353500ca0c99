"""The report for people: a table per mode and batch size, at home in 80 columns."""

from __future__ import annotations

from cnnkit.runs.environment import environment
from rich import box
from rich.console import Console
from rich.table import Table

from cnnkit_bench.measure import Row, Section
from cnnkit_bench.peers import OURS
from cnnkit_bench.report import Report, best_peer

_LEGEND = (
    "us: microseconds, median of the rounds, +/- half the distance between quartiles. "
    "ratio: the peer's time over cnnkit's at the most threads, median of the rounds; "
    "above 1, cnnkit is faster. sgemm: share of the matrix product's rate at as many threads. "
    "* marks a peer's best thread count."
)
_BUSY = 0.02


def show(report: Report, console: Console) -> None:
    """Print the report."""
    for line in _head(report):
        console.print(line)
    for section in report.sections:
        console.print()
        console.print(_table(report, section))
        for line in _notes(section):
            console.print(line)
    console.print()
    console.print(_LEGEND, style="dim")
    for line in _foot(report):
        console.print(line)


def _head(report: Report) -> list[str]:
    cpu = environment({})["cpu"]
    rates = ", ".join(
        f"{rate:.0f} with {_threads(threads)}" for threads, rate in sorted(report.sgemm.items())
    )
    work = ", ".join(f"{mode} {flop / 1e6:.2f}" for mode, flop in report.flop.items())
    return [
        f"{report.spec}: MFLOP per image: {work}",
        f"{cpu['model']}, {cpu['count']} cores; sgemm GFLOP/s: {rates}",
    ]


def _table(report: Report, section: Section) -> Table:
    table = Table(
        title=f"{section.mode}, batch {section.batch}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("peer", no_wrap=True)
    for title in ("threads", "us per image", "+/-", "ratio", "sgemm"):
        table.add_column(title, justify="right", no_wrap=True)
    best = _best_rows(section)
    for row in sorted(section.rows, key=lambda row: row.median if row.us else float("inf")):
        if row.us and not row.problem:
            mark = "*" if row in best else " "
            style = "bold" if row.member.kind == OURS else ("" if row in best else "dim")
            table.add_row(*_cells(report, section, row, mark), style=style)
        elif row.problem and row.problem.kind != "cannot":
            table.add_row(row.member.peer, str(row.member.threads), row.problem.kind, style="red")
    return table


def _cells(report: Report, section: Section, row: Row, mark: str) -> list[str]:
    return [
        row.member.peer,
        f"{row.member.threads}{mark}",
        f"{row.median:.1f}",
        f"{row.spread:.0%}",
        f"{row.ratio:.2f}",
        f"{report.share(section, row):.1%}",
    ]


def _best_rows(section: Section) -> list[Row]:
    best: dict[str, Row] = {}
    for row in section.timed:
        held = best.setdefault(row.member.peer, row)
        best[row.member.peer] = min(held, row, key=lambda r: r.median)
    return list(best.values())


def _notes(section: Section) -> list[str]:
    """Name the fastest peer, and everybody without a time with the reason."""
    best, notes = best_peer(section), []
    if best:
        notes.append(f"best peer: {best.member.label}, ratio {best.ratio:.2f}")
    reasons = {(row.member.peer, str(row.problem)): row for row in section.rows if row.problem}
    return [*notes, *(f"not timed: {peer}: {reason}" for peer, reason in reasons)]


def _foot(report: Report) -> list[str]:
    lines = [f"versions: {'; '.join(dict.fromkeys(report.versions.values()))}"]
    lines += [f"not installed: {name}: {report.install(name)}" for name in report.missing]
    lines += [f"not started: {member}: {reason}" for member, reason in report.out]
    busy = [f"{label} {share:.0%}" for label, share in report.idle.items() if share > _BUSY]
    if busy:
        lines.append(f"used a core while idle: {', '.join(busy)}")
    return lines


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
