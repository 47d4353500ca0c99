"""The mutation table: every planted bug, and the check that names it.

python tests/testing/mutation_table.py
"""

from __future__ import annotations

import contextlib
import io
from importlib import import_module
from pathlib import Path

from planted import PLANTED

from cnnkit.testing import (
    backend,
    callback,
    dataset,
    initializer,
    layers,
    loss,
    metric,
    observer,
    optimizer,
    schedule,
    transform,
)

for path in sorted(Path(__file__).parent.glob("planted_*.py")):
    import_module(path.stem)

KITS = {
    "layers": layers.kit,
    "losses": loss.kit,
    "optimizers": optimizer.kit,
    "schedules": schedule.kit,
    "initializers": initializer.kit,
    "transforms": transform.kit,
    "metrics": metric.kit,
    "datasets": dataset.kit,
    "observers": observer.kit,
    "callbacks": callback.kit,
    "backends": backend.kit,
}
SHARED = {check.name for check in layers.kit.checks}  # options and manners: proved on layers


def caught_by(bug):
    """Return the names of the checks that fail, in the kit's order."""
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        failures = KITS[bug.component.family].failures(bug.component, *bug.case)
    return [failure.check for failure in failures]


def unproved():
    """Return every check that no planted bug makes fail, as "family.check"."""
    proved = {(bug.component.family, bug.check) for bug in PLANTED.values()}
    return sorted(
        f"{family}.{check.name}"
        for family, kit in KITS.items()
        for check in kit.checks
        if (family, check.name) not in proved and (family == "layers" or check.name not in SHARED)
    )


def main() -> int:
    named = 0
    for bug in PLANTED.values():
        caught, cls = caught_by(bug), type(bug.component)
        right = caught[:1] == [bug.check]
        named += right
        what = (vars(cls).get("__doc__") or "No docstring at all.").splitlines()[0][:72]
        also = f" (+{len(caught) - 1})" if len(caught) > 1 else ""
        verdict = "ok " if right else "BAD"
        print(f"{verdict} {cls.family:12} {what:72}  {caught[0] if caught else 'NOT CAUGHT'}{also}")
    print(f"{len(PLANTED)} planted bugs, {named} named by the right check first;", end=" ")
    print(f"{len(unproved())} checks that no bug makes fail {unproved() or ''}".rstrip())
    return 0 if named == len(PLANTED) and not unproved() else 1


if __name__ == "__main__":
    raise SystemExit(main())
