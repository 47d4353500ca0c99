"""Report: all that was found, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cnnkit.runs.environment import environment

from cnnkit_bench.measure import Row, Section
from cnnkit_bench.member import Member
from cnnkit_bench.peers import OURS, PEERS


@dataclass
class Report:
    """What a benchmark found.

    Args:
        spec: the spec's path.
        sgemm: GFLOP/s by thread count.
        flop: operations per image by mode.
        missing: peers that are not installed.
        out: (member, reason) for those that could not even start.
        sections: the figures.
        versions: by peer.
        idle: largest share of a core that a member used while it was not its turn.
    """

    spec: str
    sgemm: dict[int, float]
    flop: dict[str, int]
    missing: list[str]
    out: list[tuple[str, str]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)

    def close(self, crew: Sequence[Member]) -> None:
        """Note what the members know at the end."""
        self.versions = {member.peer: member.version for member in crew}
        self.idle = {member.label: member.idle for member in crew}

    def share(self, section: Section, row: Row) -> float:
        """Return the row's share of the sgemm rate at its thread count."""
        rate = self.sgemm.get(row.member.threads) or max(self.sgemm.values())
        return self.flop[section.mode] / row.median / 1e3 / rate

    def install(self, peer: str) -> str:
        """Return the command that installs a missing peer."""
        return f"pip install 'cnnkit-bench[{PEERS[peer].extra}]'"

    def as_json(self) -> dict[str, Any]:
        """Return the whole report for JSON."""
        facts = environment({})
        return {
            "spec": self.spec,
            "machine": {key: facts[key] for key in ("cpu", "os", "python", "numpy", "blas")},
            "sgemm_gflops": {str(threads): rate for threads, rate in self.sgemm.items()},
            "flop_per_image": self.flop,
            "versions": self.versions,
            "missing": [{"peer": name, "install": self.install(name)} for name in self.missing],
            "out": [{"member": member, "reason": reason} for member, reason in self.out],
            "idle_core_share": self.idle,
            "sections": [self._section(section) for section in self.sections],
        }

    def _section(self, section: Section) -> dict[str, Any]:
        rows = [self._row(section, row) for row in section.rows]
        return {"mode": section.mode, "batch": section.batch, "rows": rows}

    def _row(self, section: Section, row: Row) -> dict[str, Any]:
        facts = {"peer": row.member.peer, "threads": row.member.threads}
        if row.problem:
            return {**facts, row.problem.kind: str(row.problem)}
        return {
            **facts,
            "us_per_image": row.median,
            "ratio_to_cnnkit": row.ratio,
            "spread": row.spread,
            "share_of_sgemm": self.share(section, row),
            "rounds": row.us,
        }


def best_peer(section: Section) -> Row | None:
    """Return the fastest row that is not cnnkit's."""
    rivals = [row for row in section.timed if row.member.kind != OURS and not row.problem]
    return min(rivals, key=lambda row: row.median, default=None)
