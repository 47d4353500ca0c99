"""Compare arrays, and say where they differ in plain numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from cnnkit.arrays import Array
from cnnkit.testing.failure import require

CLOSE = 1e-9
"""Relative difference in float64 that another order of summation may cause."""


def require_same(before: Array, after: Array, what: str, *, fix: str) -> None:
    """Demand equal bits: the same shape, dtype and values (NaN equals NaN)."""
    require(
        before.dtype == after.dtype and np.array_equal(before, after, equal_nan=True),
        what,
        expected="the same values, bit for bit",
        got=difference(before, after),
        fix=fix,
    )


def require_close(
    wanted: Mapping[str, Array], got: Mapping[str, Array], what: str, *, expected: str, fix: str
) -> None:
    """Demand the same names, shapes and values up to rounding; `what` may hold "{name}"."""
    for name in {**wanted, **got}:
        missing = [source for source, t in (("wanted", wanted), ("got", got)) if name not in t]
        close = not missing and _is_close(wanted[name], got[name])
        require(
            close,
            what.format(name=name),
            expected=expected,
            got=f"{name} once only" if missing else difference(wanted[name], got[name]),
            fix=fix,
        )


def _is_close(a: Array, b: Array) -> bool:
    if a.shape != b.shape:
        return False
    size = float(np.max(np.abs(a), initial=1.0, where=np.isfinite(a)))
    return bool(np.all((np.abs(a - b) <= CLOSE * size) | (np.isnan(a) & np.isnan(b))))


def difference(a: Array, b: Array) -> str:
    """Return the first place where two arrays differ: "[0, 1] 0.5 became 0.25 (3 of 8 differ)"."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype} {a.shape} became {b.dtype} {b.shape}"
    places = np.argwhere(_unequal(a, b))
    if not len(places):
        return "no difference"
    first = tuple(int(i) for i in places[0])
    where = f"[{', '.join(map(str, first))}] "
    return f"{where}{a[first]:.6g} became {b[first]:.6g} ({len(places)} of {a.size} differ)"


def _unequal(a: Array, b: Array) -> Array:
    unequal: Array = (a != b) & ~(np.isnan(a) & np.isnan(b))
    return unequal


def not_finite(arrays: Mapping[str, Array]) -> Iterator[str]:
    """Yield a line per array that holds NaN or infinity."""
    for name, array in arrays.items():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            yield f"{bad} of {array.size} values of {name} are NaN or infinite"
