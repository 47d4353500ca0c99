"""Timing: every member in turn, round after round, so that all of them meet the same weather."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles

import numpy as np
from cnnkit.arrays import Array

from cnnkit_bench.member import Member, OutError
from cnnkit_bench.peers.base import Mode

QUIET_LR = 1e-6
"""Learning rate while timing, the same for all: weights stay finite at any batch size, and the
arithmetic is the same as at any other rate."""
TOLERANCE: dict[Mode, float] = {"inference": 1e-4, "training": 1e-3}
"""Largest difference of an output, relative to the largest output, before it is a mismatch."""
NORM_TOLERANCE: dict[Mode, float] = {**TOLERANCE, "training": 1e-2}
"""The same with batch_norm. PyTorch's channels-last one adds up plainly in float32: its variances
are off by 1e-5, and outputs behind four of them and two steps by up to 5e-3."""
_LEAST = 3
"""Rounds that are made however long they take."""
_SLOWER = 1.25
"""How much slower a thread count may be than another of the same peer to be timed again."""
_SETTLE = 0.02
"""Seconds between turns: idle threads of the last member stop spinning."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to time.

    Args:
        repeats: rounds, at most.
        steps: steps per turn; None: as many as take `seconds`.
        seconds: length of a turn.
        lr: the spec's learning rate, for the check.
        until: when to make no more rounds than three, as `time.monotonic` counts.
        tolerance: by mode.
    """

    repeats: int
    steps: int | None
    seconds: float
    lr: float
    until: float
    tolerance: dict[Mode, float] = field(default_factory=lambda: TOLERANCE)


@dataclass
class Row:
    """What one member did in one section; `us` holds microseconds per image, one per round."""

    member: Member
    us: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    problem: OutError | None = None

    @property
    def median(self) -> float:
        """Median microseconds per image."""
        return median(self.us)

    @property
    def ratio(self) -> float:
        """Median over the rounds of this member's time over cnnkit's."""
        return median(self.ratios)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, over the median."""
        if len(self.us) < 2:
            return 0.0
        low, _, high = quantiles(self.us, n=4, method="inclusive")
        return (high - low) / 2 / self.median


@dataclass
class Section:
    """One mode at one batch size."""

    mode: Mode
    batch: int
    rows: list[Row]

    @property
    def timed(self) -> list[Row]:
        """The rows with times, as they stand in the crew."""
        return [row for row in self.rows if row.us]


def measure(crew: Sequence[Member], mode: Mode, batch: int, plan: Plan) -> Section:
    """Check and time every member; `crew[0]` is cnnkit, whose outputs and times are the measure.

    Raises:
        OutError: where `crew[0]` itself fails.
    """
    ours = _result(crew[0], mode, batch, plan)
    rows = [Row(member) for member in crew]
    for row in rows[1:]:
        try:
            compare(_result(row.member, mode, batch, plan), ours, plan.tolerance[mode])
        except OutError as problem:
            row.problem = problem
    running = {id(row): _steps(row, mode, batch, plan) for row in rows if not row.problem}
    taking_part = [row for row in rows if not row.problem]
    for turn in range(plan.repeats):
        if turn >= _LEAST and time.monotonic() > plan.until:
            break
        for row in taking_part:
            _time(row, running[id(row)], batch, rows[0])
        taking_part = [row for row in taking_part if row is rows[0] or _may_win(row, rows)]
    return Section(mode, batch, rows)


def _may_win(row: Row, rows: Sequence[Row]) -> bool:
    """Tell if a peer's thread count is not plainly slower than another of its own."""
    twins = [one for one in rows if one.member.peer == row.member.peer and one.us]
    return not row.problem and row.median <= _SLOWER * min(one.median for one in twins)


def _result(member: Member, mode: Mode, batch: int, plan: Plan) -> Array:
    """Return the outputs for a batch, in training mode after two steps: momentum shows then."""
    member.open(mode, batch, plan.lr, still=True)
    if mode == "training":
        for _ in range(2):  # one by one: within a turn, cnnkit shuffles
            member.turn(1)
    return member.outputs(batch)


def compare(found: Array, expected: Array, tolerance: float) -> None:
    """Refuse outputs that differ.

    Raises:
        OutError: "mismatch", with the largest difference.
    """
    if found.shape != expected.shape:
        raise OutError("mismatch", f"outputs are {found.shape}, cnnkit's {expected.shape}")
    off = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
    if not off <= tolerance:
        raise OutError(
            "mismatch", f"outputs differ from cnnkit's by {off:.1e}; allowed {tolerance:.0e}"
        )


def _steps(row: Row, mode: Mode, batch: int, plan: Plan) -> int:
    """Return the steps of a turn, from a turn that is long enough to tell."""
    row.member.open(mode, batch, QUIET_LR)
    steps = 1
    row.member.turn(steps)
    if plan.steps:
        return plan.steps
    while (seconds := row.member.turn(steps)) < plan.seconds / 4:
        steps *= 4
    return max(1, round(steps * plan.seconds / seconds))


def _time(row: Row, steps: int, batch: int, ours: Row) -> None:
    try:
        seconds = row.member.turn(steps, warm=max(1, steps // 8))
    except OutError as problem:
        row.problem = problem
        return
    row.us.append(seconds / steps / batch * 1e6)
    row.ratios.append(row.us[-1] / ours.us[-1])
    time.sleep(_SETTLE)
