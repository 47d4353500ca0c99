"""Checks of manners, for any family: what a component does besides computing."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnkit.base import Component
from cnnkit.testing.audit import watched
from cnnkit.testing.check import Check, check
from cnnkit.testing.failure import Fault, require
from cnnkit.testing.randomness import global_seed, global_state
from cnnkit.testing.state import require_no_state

Use = Callable[..., None]
"""Calls every method of a component once: `use(component, *case)`."""


def manner_checks(use: Use, *, reads_files: bool = False) -> tuple[Check, ...]:
    """Return the checks of manners for a family whose methods `use` calls."""

    @check
    def silent(component: Component, *case: Any) -> None:
        """Nothing is printed: stdout belongs to the command, and --json is parsed."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            use(component, *case)
        require(
            not out.getvalue(),
            f"the {component.type} component prints",
            expected="nothing on stdout or stderr",
            got=repr(out.getvalue()[:80]),
            fix="drop the print; raise an error where something is wrong",
        )

    @check
    def no_side_effects(component: Component, *case: Any) -> None:
        """No file, network connection or process is opened: a spec is data, and runs replay."""
        with watched() as seen:
            use(component, *case)
        require(
            not seen,
            f"the {component.type} component reaches outside its arrays",
            expected="no file, network or process",
            got="; ".join(seen[:3]),
            fix="put what it reads into its options or its weights; load data in a dataset",
        )

    @check
    def global_randomness_untouched(component: Component, *case: Any) -> None:
        """np.random's and random's global states are neither drawn from nor seeded."""
        with global_seed(271828):
            before = global_state()
            use(component, *case)
            after = global_state()
        require(
            after == before,
            f"the {component.type} component changes the global random state",
            expected="draws from the rng it is given, or from ctx.rng()",
            got="another state of np.random or random",
            fix="replace np.random.x(...) by rng.x(...) or ctx.rng().x(...); never seed",
        )

    @check
    def no_warnings(component: Component, *case: Any) -> None:
        """It works with warnings as errors, on ordinary values and on zeros."""
        with warnings.catch_warnings(), np.errstate(divide="warn", over="warn", invalid="warn"):
            warnings.simplefilter("error")
            try:
                use(component, *case)
            except Warning as warning:
                raise Fault(
                    f"{type(warning).__name__}: {warning}",
                    expected="no warning",
                    got=type(warning).__name__,
                    fix="compute without the overflow or division; do not silence it",
                ) from warning

    @check
    def keeps_no_state(component: Component, *case: Any) -> None:
        """Using it leaves no trace on it or its class: two threads may use it at once."""
        require_no_state(component, lambda: use(component, *case))

    effects = () if reads_files else (no_side_effects,)
    return (silent, *effects, global_randomness_untouched, no_warnings, keeps_no_state)
