"""What checks are made of: comparing, derivatives, scratch memory, global randomness."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.base import Component, Layer
from cnnkit.base.component import walk
from cnnkit.testing.check import require

Arrays = Mapping[str, Array]
CLOSE = 1e-9
"""Relative difference in float64 that another order of summation may cause."""
STEP = 1e-5
TOLERANCE = 1e-6
"""Relative error of a central difference in float64 that counts as agreement."""


def require_same(before: Array, after: Array, what: str) -> None:
    """Demand equal bits: the same shape, dtype and values (NaN equals NaN)."""
    is_same = before.dtype == after.dtype and np.array_equal(before, after, equal_nan=True)
    expected, got = "the same values, bit for bit", difference(before, after)
    require(is_same, what, expected=expected, got=got)


def require_close(
    wanted: Arrays, got: Arrays, what: str, *, expected: str = "the same values"
) -> None:
    """Demand the same names, shapes and values up to rounding; `what` may hold "{name}"."""
    for name in {**wanted, **got}:
        both = name in wanted and name in got
        close = both and _is_close(wanted[name], got[name])
        found = difference(wanted[name], got[name]) if both else f"{name} once only"
        require(close, what.format(name=name), expected=expected, got=found)


def _is_close(a: Array, b: Array) -> bool:
    if a.shape != b.shape:
        return False
    size = float(np.max(np.abs(a), initial=1.0, where=np.isfinite(a)))
    return bool(np.all((np.abs(a - b) <= CLOSE * size) | (np.isnan(a) & np.isnan(b))))


def difference(a: Array, b: Array) -> str:
    """Return the first place where two arrays differ: "[0, 1] 0.5 became 0.25 (3 of 8 differ)"."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype} {a.shape} became {b.dtype} {b.shape}"
    places = np.argwhere((a != b) & ~(np.isnan(a) & np.isnan(b)))
    if not len(places):
        return "no difference"
    first = tuple(places[0].tolist())
    change = f"{list(first)} {a[first]:.6g} became {b[first]:.6g}"
    return f"{change} ({len(places)} of {a.size} differ)"


def require_finite(arrays: Arrays, what: str, *, expected: str = "finite numbers") -> None:
    """Demand that no array holds NaN or infinity."""
    lost = []
    for name, array in arrays.items():
        if bad := np.count_nonzero(~np.isfinite(array)):
            lost.append(f"{bad} of {array.size} values of {name} are NaN or infinite")
    require(not lost, what, expected=expected, got="; ".join(lost))


def numeric_derivative(f: Callable[[float], float], size: float) -> float | None:
    """Return f'(0), or None where a kink lies within the step: draw another direction then.

    Two central differences with steps h and h/5 agree to O(h**2) where f is smooth; a ReLU's
    corner or a maximum that changes hands in between makes them differ. `size` is the slope's
    natural size, which the agreement is measured against.
    """
    wide, narrow = ((f(h) - f(-h)) / (2 * h) for h in (STEP, STEP / 5))
    return narrow if abs(wide - narrow) <= TOLERANCE * size else None


class CleanScratch(Scratch):
    """Hands out zeros, so that what memory held before can't decide which check fails first."""

    def empty(self, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        return np.zeros(shape, dtype)

    def temp(self, name: str, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        return np.zeros(shape, dtype)


CLEAN = CleanScratch()


class HostileScratch(Scratch):
    """Hands out arrays full of NaN (or the largest integer), and can spoil every temp array."""

    def __init__(self) -> None:
        self._temps: dict[str, Array] = {}

    def empty(self, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        return np.full(shape, _worst(dtype), dtype)

    def temp(self, name: str, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        if name in self._temps:
            self.spoil(name)
        self._temps[name] = self.empty(shape, dtype)
        return self._temps[name]

    def spoil(self, *names: str) -> None:
        """Overwrite temp arrays, by default all, as the next that asks for the name would."""
        for name in names or self._temps:
            self._temps[name].fill(_worst(self._temps[name].dtype))


def _worst(dtype: npt.DTypeLike) -> float | int:
    kind = np.dtype(dtype).kind
    if kind in "iu":
        return int(np.iinfo(np.dtype(dtype)).max)
    return 1 if kind == "b" else float("nan")


def allocated(run: Callable[[], object]) -> tuple[int, int]:
    """Run, and return how many bytes are allocated more afterwards, and were at most meanwhile."""
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        run()
        after, peak = tracemalloc.get_traced_memory()
        return after - before, peak - before
    finally:
        if not was_tracing:
            tracemalloc.stop()


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators, so that whoever reads them is found out; then undo it."""
    before = np.random.get_state(), random.getstate()
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before[0])
        random.setstate(before[1])


def global_state() -> tuple[str, object]:
    """Return the states in a form that compares with ==."""
    _, words, *rest = np.random.get_state(legacy=True)
    return f"{rest} {np.asarray(words).tobytes().hex()}", random.getstate()


def couples_batch(layer: Layer) -> bool:
    """Return whether samples of a batch meet anywhere in the layer."""
    return any(isinstance(inner, Layer) and inner.couples_batch for _, inner in walk(layer))


def built_ins(family: str) -> dict[str, type[Component]]:
    """Return `{type: class}` of what cnnkit itself brings in `family`."""
    hook = getattr(import_module(f"cnnkit.{family}"), f"cnnkit_{family}")
    return {cls.type_name(): cls for cls in hook()}
