"""The mutation table: every planted bug, and the check that names it.

python tests/testing/mutation_table.py
"""

from __future__ import annotations

import contextlib
import io

import planted_arrays
import planted_batches
import planted_data
import planted_effects
import planted_loss_gradients
import planted_losses
import planted_memory
import planted_metrics
import planted_numbers
import planted_observers
import planted_optimizers
import planted_options
import planted_random
import planted_ranges
import planted_rules
import planted_schedules
import planted_shapes
import planted_transforms
import planted_weights
from planted import PLANTED, PLANTED_IN

from cnnkit.base import DataPaths
from cnnkit.testing import (
    CheckFailure,
    dataset,
    initializer,
    layer_checks,
    loss,
    metric,
    observer,
    optimizer,
    schedule,
    transform,
)

MODULES = (
    planted_options,
    planted_weights,
    planted_shapes,
    planted_rules,
    planted_effects,
    planted_random,
    planted_arrays,
    planted_memory,
    planted_batches,
    planted_numbers,
    planted_ranges,
    planted_losses,
    planted_loss_gradients,
    planted_optimizers,
    planted_schedules,
    planted_transforms,
    planted_metrics,
    planted_observers,
    planted_data,
)
FAMILIES = {
    "losses": loss.kit.checks,
    "optimizers": optimizer.kit.checks,
    "schedules": schedule.kit.checks,
    "initializers": initializer.kit.checks,
    "transforms": transform.kit.checks,
    "metrics": metric.kit.checks,
    "datasets": dataset.kit.checks,
    "observers": observer.kit.checks,
}
SHARED = {check.name for check in layer_checks()}  # options and manners: proved on layers


def caught_by(checks, component, *case):
    """Return the names of the checks that fail, in the kit's order."""
    caught, quiet = [], io.StringIO()
    for check in checks:
        try:
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                check(component, *case)
        except CheckFailure as failure:
            caught.append(failure.check)
    return caught


def cases():
    """Yield (family, its checks, component, the case, the check that must name the bug)."""
    for bug in PLANTED.values():
        yield "layers", layer_checks(), bug.layer, (bug.shape,), bug.check
    for bug in PLANTED_IN.values():
        case = (DataPaths(),) if bug.family == "datasets" else ()
        yield bug.family, FAMILIES[bug.family], bug.component, case, bug.check


def unproved():
    """Return every check that no planted bug makes fail, as "family.check"."""
    proved = {(family, check) for family, _, _, _, check in cases()}
    tables = {"layers": layer_checks(), **FAMILIES}
    return sorted(
        f"{family}.{check.name}"
        for family, checks in tables.items()
        for check in checks
        if (family, check.name) not in proved and (family == "layers" or check.name not in SHARED)
    )


def main() -> int:
    bugs = named = 0
    for family, checks, component, case, wanted in cases():
        caught = caught_by(checks, component, *case)
        right = caught[:1] == [wanted]
        bugs, named = bugs + 1, named + right
        bug = (type(component).__dict__.get("__doc__") or "No docstring at all.").splitlines()[0]
        also = f" (+{len(caught) - 1})" if len(caught) > 1 else ""
        verdict = "ok " if right else "BAD"
        print(f"{verdict} {family:12} {bug[:72]:72}  {caught[0] if caught else 'NOT CAUGHT'}{also}")
    print(f"{bugs} planted bugs, {named} named by the right check first;", end=" ")
    print(f"{len(unproved())} checks that no bug makes fail {unproved() or ''}".rstrip())
    return 0 if named == bugs and not unproved() else 1


if __name__ == "__main__":
    raise SystemExit(main())
