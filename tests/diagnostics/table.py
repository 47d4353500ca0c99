"""The corpus as a table, a line per problem: `python tests/diagnostics/table.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from corpus import SPECS, Verdict, check
from kinds import KINDS

CHAINS = ("layers", "body", "shortcut", "branches")


@dataclass(frozen=True)
class Row:
    """One problem of one spec: `layer` is "" where it is in none, None where it goes unnamed."""

    spec: str
    place: str | None
    layer: str | None
    message: str


def place(problem: dict[str, Any], verdict: Verdict) -> str | None:
    """Return "12:3", or "--set:3"; None where the problem does not say, or is not printed there."""
    line, column, argument = problem["line"], problem["column"], problem["argument"]
    if not (isinstance(line, int) and isinstance(column, int) and line > 0 < column):
        return None
    where = argument or f"{problem['file']}:{line}:{column}"
    shown = f"--> {where}\n" in verdict.text or len(verdict.report["problems"]) > 20
    return (f"--set:{column}" if argument else f"{line}:{column}") if shown else None


def layer(problem: dict[str, Any]) -> str | None:
    """Return the layer that a message names, as it must where the path leads through one."""
    if problem["message"].startswith("cannot set "):  # there is no such layer to name
        return ""
    named = ""
    for before, step in pairwise(problem["path"]):
        if not isinstance(step, int):
            continue
        number = rf"{step + 1}(?: \([^()]+\))?"
        if before == "branches":
            named += f" > branch {step + 1}"
        elif isinstance(before, int):  # in a branch
            named += f" layer {number}"
        elif before in CHAINS:
            named += rf" > (?:\w+ )?layer {number}" if named else f"layer {number}"
    match = re.match(rf"{named}(?=:? )", problem["message"])
    return match.group() if named and match else None if named else ""


def rows(name: str, verdict: Verdict) -> Iterator[Row]:
    """Return a row per problem."""
    for problem in verdict.report["problems"]:
        yield Row(name, place(problem, verdict), layer(problem), problem["message"])


def main() -> int:
    found = [row for spec in SPECS for row in rows(spec.stem, check(spec))]
    print(f"{'spec':34} {'place':>9}  what is said")
    for row in found:
        print(f"{row.spec:34} {row.place or 'NOWHERE':>9}  {row.message[:100]}")
    at, inside = sum(bool(row.place) for row in found), [row for row in found if row.layer != ""]
    named = sum(bool(row.layer) for row in inside)
    print(
        f"{len(SPECS)} specs of {len(KINDS)} kinds, {len(found)} problems: {at} with line and "
        f"column, {len(inside)} inside a layer, {named} of these name it"
    )
    return 0 if at == len(found) and named == len(inside) else 1


if __name__ == "__main__":
    raise SystemExit(main())
