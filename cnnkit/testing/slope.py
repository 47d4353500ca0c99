"""The slope of a function along a line, measured, with a step around kinks."""

from __future__ import annotations

from collections.abc import Callable

STEP = 1e-5
TOLERANCE = 1e-6
"""Relative error of a central difference in float64 that counts as agreement."""


def slope(f: Callable[[float], float], size: float) -> float | None:
    """Return f'(0), or None where a kink lies within the step: draw another direction then.

    Two central differences with steps h and h/5 agree to O(h**2) where f is smooth; a ReLU's
    corner or a maximum that changes hands in between makes them differ. `size` is the slope's
    natural size, which the agreement is measured against.
    """
    wide, narrow = _central(f, STEP), _central(f, STEP / 5)
    return narrow if abs(wide - narrow) <= TOLERANCE * size else None


def _central(f: Callable[[float], float], h: float) -> float:
    return (f(h) - f(-h)) / (2 * h)
