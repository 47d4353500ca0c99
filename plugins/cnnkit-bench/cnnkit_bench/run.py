"""The benchmark from case to report."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from cnnkit_bench.case import Case
from cnnkit_bench.errors import BenchError
from cnnkit_bench.measure import NORM_TOLERANCE, TOLERANCE, Plan, Section, measure
from cnnkit_bench.member import Member, OutError
from cnnkit_bench.peers import OURS, PEERS
from cnnkit_bench.prepare import flop, prepare_case
from cnnkit_bench.progress import Say, news
from cnnkit_bench.report import Report
from cnnkit_bench.request import Request
from cnnkit_bench.sgemm import sgemm_rate
from cnnkit_bench.tables import show

_IMAGES = 2048
"""Images that steps walk through: more than caches hold, few enough to load at once."""
_TURN = 0.2


def run(
    request: Request, spec: Path, overrides: list[str], data_dir: Path | None, *, as_json: bool
) -> None:
    """Time what the request names, and print it.

    Raises:
        BenchError: where cnnkit itself cannot run the network.
    """
    count = max(_IMAGES, request.large, *request.batches)
    case = prepare_case(spec, overrides, data_dir, count)
    with news() as say, TemporaryDirectory(prefix="cnnkit-bench-") as folder:
        report = _collect(request, case, Path(folder), say, flop(spec, case))
    if as_json:
        sys.stdout.write(json.dumps(report.as_json()) + "\n")
    else:
        show(report, Console(markup=False, highlight=False, emoji=False))


def _collect(request: Request, case: Case, folder: Path, say: Say, work: tuple[int, int]) -> Report:
    case.save(folder)
    say("measuring sgemm")
    rates = {threads: sgemm_rate(threads) for threads in request.threads}
    missing = [name for name in request.peers if PEERS[name].missing()]
    report = Report(case.spec, rates, {"training": work[0], "inference": work[1]}, missing)
    started = time.monotonic()
    end = started + 60 * request.minutes if request.minutes else math.inf
    with ExitStack() as stack:
        crew = _crew(request, folder, report, stack, say)
        sections = request.sections()
        for done, (mode, batch) in enumerate(sections):
            now = time.monotonic()
            say(f"{mode}, batch {batch}: {done + 1} of {len(sections)}, {now - started:.0f} s")
            until = now + max(0, end - now) / (len(sections) - done)
            lr, tolerance = float(case.optimizer["lr"]), NORM_TOLERANCE if case.fixed else TOLERANCE
            plan = Plan(request.repeats, request.steps, _TURN, lr, until, tolerance)
            report.sections.append(_section(crew, mode, batch, plan))
        report.close(crew)
    return report


def _section(crew: Sequence[Member], mode: Any, batch: int, plan: Plan) -> Section:
    try:
        return measure(crew, mode, batch, plan)
    except OutError as error:
        raise BenchError(f"error: {crew[0].label}, {mode}, batch {batch}: {error}") from error


def _crew(
    request: Request, folder: Path, report: Report, stack: ExitStack, say: Say
) -> list[Member]:
    """Start a process per peer and thread count; leave out those that cannot take part at all."""
    crew = []
    for name, backend in _sides(request, report):
        for threads in (1,) if PEERS[name].one_thread else request.threads:
            member = Member(name, threads, folder, backend)
            say(f"starting {member.label}")
            stack.enter_context(member)
            try:
                member.greet()
            except OutError as error:
                if name == OURS:
                    raise BenchError(f"error: {member.label}: {error}") from error
                report.out.append((member.label, str(error)))
            else:
                crew.append(member)
    return crew


def _sides(request: Request, report: Report) -> Iterator[tuple[str, str]]:
    """Yield each peer to time, and its backend: cnnkit once for each, the others once."""
    yield from ((OURS, backend) for backend in request.backends)
    others = (name for name in request.peers if name != OURS and name not in report.missing)
    yield from ((name, "") for name in others)
