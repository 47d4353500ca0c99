"""Scratch memory for checks: clean where it is not what is checked, hostile where it is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, Scratch, Shape


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
