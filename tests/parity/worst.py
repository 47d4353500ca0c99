"""How far cnnkit is from PyTorch, in float64: `python tests/parity/worst.py` prints a table.

An error is the largest of an array, as a share of the largest number of PyTorch's, or of 1 where
that is less.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from cases import NAMES, by_cnnkit
from make_reference import by_torch


def error(ours: Any, theirs: Any) -> float:
    return float(np.abs(ours - theirs).max(initial=0) / max(1.0, np.abs(theirs).max(initial=0)))


def main() -> None:
    found = defaultdict[str, list[tuple[int, float]]](list)
    cases = defaultdict[str, int](int)
    for name in NAMES:
        kind = name.partition(": ")[0]
        ours, theirs = by_cnnkit(name), by_torch(name)
        found[kind] += [(array.size, error(ours[what], array)) for what, array in theirs.items()]
        cases[kind] += 1
    line = "{:12}{:>8}{:>8}{:>10}{:>13}"
    print(line.format("kind", "cases", "arrays", "numbers", "worst error"))
    for kind, arrays in found.items():
        worst, numbers = max(e for _, e in arrays), sum(n for n, _ in arrays)
        print(line.format(kind, cases[kind], len(arrays), f"{numbers:,}", f"{worst:.1e}"))
    every = [one for arrays in found.values() for one in arrays]
    print(f"{len(NAMES)} cases, {len(every):,} arrays, {sum(n for n, _ in every):,} numbers: "
          f"{max(e for _, e in every):.1e} at most")  # fmt: skip


if __name__ == "__main__":
    main()
