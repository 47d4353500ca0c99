"""Which layers of a chain become one step."""

from __future__ import annotations

from collections.abc import Sequence

from cnnkit.base import Layer
from cnnkit.base.backend import FusedStep
from cnnkit.layers import BatchNorm
from cnnkit_native.forms import goes_behind_norm
from cnnkit_native.graph import is_as_known, knows
from cnnkit_native.norm import FusedNorm
from cnnkit_native.step import Fused

Steps = Sequence[tuple[str, Layer]]


def fused(steps: Steps) -> list[tuple[str, Layer | FusedStep]]:
    """Return the steps to run: programs, normalisations with what follows them, and layers."""
    made: list[tuple[str, Layer | FusedStep]] = []
    run: list[tuple[str, Layer]] = []
    for name, layer in steps:
        if knows(layer):
            if not (goes_behind_norm(layer) and _take_in(made, run, name, layer)):
                run.append((name, layer))
        elif type(layer) is BatchNorm and is_as_known(layer):
            run = _close(made, run)
            made.append(("", FusedNorm(layer, [(name, layer)])))
        else:
            run = _close(made, run)
            made.append((name, layer))
    _close(made, run)
    return made


def _close(
    made: list[tuple[str, Layer | FusedStep]], run: list[tuple[str, Layer]]
) -> list[tuple[str, Layer]]:
    """Make a program of the layers gathered, if there are any; return room for the next."""
    if run:
        made.append(("", Fused(run)))
    return []


def _take_in(
    made: list[tuple[str, Layer | FusedStep]],
    run: list[tuple[str, Layer]],
    name: str,
    form: Layer,
) -> bool:
    """Let the normalisation right before a form do it, too; tell if there is one."""
    last = made[-1][1] if made and not run else None
    if not isinstance(last, FusedNorm) or len(last.steps) > 1:
        return False
    made[-1] = ("", FusedNorm(last.layer, [*last.steps, (name, form)]))
    return True
