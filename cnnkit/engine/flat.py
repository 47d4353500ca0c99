"""Many arrays in one vector, so that a sum or an update is one call and not one per array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, Shape


@dataclass(frozen=True)
class Layout:
    """Where each array of `{path: array}` lies in a vector."""

    shapes: Mapping[str, Shape]

    @cached_property
    def size(self) -> int:
        """Numbers in the vector."""
        return sum(prod(shape) for shape in self.shapes.values())

    def views(self, vector: Array) -> dict[str, Array]:
        """Return the arrays as views of `vector`."""
        views, start = {}, 0
        for path, shape in self.shapes.items():
            views[path] = vector[start : start + prod(shape)].reshape(shape)
            start += prod(shape)
        return views

    def pack(self, arrays: Mapping[str, Array], dtype: npt.DTypeLike) -> Array:
        """Return a new vector that holds copies of `arrays`."""
        vector = np.empty(self.size, dtype)
        self.fill(vector, arrays)
        return vector

    def fill(self, vector: Array, arrays: Mapping[str, Array]) -> None:
        """Copy `arrays` into `vector`."""
        for path, view in self.views(vector).items():
            view[...] = arrays[path]


def small_first(arrays: Mapping[str, Array]) -> Layout:
    """Return a layout of `arrays` by size, in their own order where sizes are equal."""
    ordered = sorted(arrays, key=lambda path: arrays[path].size)
    return Layout({path: arrays[path].shape for path in ordered})
