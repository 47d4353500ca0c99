"""What checks are made of: comparing, derivatives, scratch memory, global randomness."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

import numpy as np
import numpy.typing as npt
from pydantic_core import PydanticCustomError

from cnnkit.arrays import Array, Scratch, Shape
from cnnkit.base import Component, Layer
from cnnkit.base.component import walk
from cnnkit.testing.check import require

CLOSE = 1e-9
"""Relative difference in float64 that another order of summation may cause."""
STEP = 1e-5
TOLERANCE = 1e-6
"""Relative error of a central difference in float64 that counts as agreement."""


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
    wanted: Mapping[str, Array],
    got: Mapping[str, Array],
    what: str,
    *,
    expected: str = "the same values",
    fix: str,
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


def require_finite(
    arrays: Mapping[str, Array], what: str, *, expected: str = "finite numbers", fix: str
) -> None:
    """Demand that no array holds NaN or infinity."""
    lost = list(not_finite(arrays))
    require(not lost, what, expected=expected, got="; ".join(lost), fix=fix)


def not_finite(arrays: Mapping[str, Array]) -> Iterator[str]:
    """Yield a line per array that holds NaN or infinity."""
    for name, array in arrays.items():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            yield f"{bad} of {array.size} values of {name} are NaN or infinite"


def numeric_derivative(f: Callable[[float], float], size: float) -> float | None:
    """Return f'(0), or None where a kink lies within the step: draw another direction then.

    Two central differences with steps h and h/5 agree to O(h**2) where f is smooth; a ReLU's
    corner or a maximum that changes hands in between makes them differ. `size` is the slope's
    natural size, which the agreement is measured against.
    """
    wide, narrow = _central(f, STEP), _central(f, STEP / 5)
    return narrow if abs(wide - narrow) <= TOLERANCE * size else None


def _central(f: Callable[[float], float], h: float) -> float:
    return (f(h) - f(-h)) / (2 * h)


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
        self._temps: dict[str, list[Array]] = {}

    def empty(self, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        return np.full(shape, _worst(dtype), dtype)

    def temp(self, name: str, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        for stale in self._temps.get(name, []):
            stale.fill(_worst(stale.dtype))
        array = np.full(shape, _worst(dtype), dtype)
        self._temps[name] = [array]
        return array

    def spoil(self) -> None:
        """Overwrite every temp array, as the next function that asks for one would."""
        for arrays in self._temps.values():
            for array in arrays:
                array.fill(_worst(array.dtype))


def _worst(dtype: npt.DTypeLike) -> float | int:
    kind = np.dtype(dtype).kind
    if kind in "iu":
        return int(np.iinfo(np.dtype(dtype)).max)
    return 1 if kind == "b" else float("nan")


@contextmanager
def tracing() -> Iterator[Callable[[], int]]:
    """Trace Python's memory; the function says how many bytes are allocated."""
    was_tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
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


def layers_in(layer: Layer) -> list[Layer]:
    """Return the layer and all layers inside it."""
    return [inner for _, inner in walk(layer) if isinstance(inner, Layer)]


def couples_batch(layer: Layer) -> bool:
    """Return whether samples of a batch meet anywhere in the layer."""
    return any(inner.couples_batch for inner in layers_in(layer))


def built_ins(family: str) -> dict[str, type[Component]]:
    """Return `{type: class}` of what cnnkit itself brings in `family`."""
    hook = getattr(import_module(f"cnnkit.{family}"), f"cnnkit_{family}")
    return {cls.type_name(): cls for cls in hook()}


class Known:
    """A registry of the built-in types and those that a given component is made of."""

    def __init__(self, component: Component) -> None:
        self._classes = {(c.family, c.type): type(c) for _, c in walk(component)}

    def find(self, family: str, name: str) -> type[Component]:
        """Return the class behind `name`, or raise PydanticCustomError("unknown_type")."""
        known = self._classes.get((family, name)) or built_ins(family).get(name)
        if known is None:
            raise PydanticCustomError("unknown_type", "no type {name}", {"name": name})
        return known
