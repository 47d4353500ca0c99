"""The array words of cnnkit: arrays, shapes, weight trees, and scratch memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Scratch", "Shape", "Weights", "flatten", "unflatten"]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
"""The shape of one sample: plain ints, never the batch axis, never None."""
Weights = dict[str, Any]
"""A tree of dicts whose leaves are arrays: `{"W": ..., "b": ...}` or `{"0_conv": {"W": ...}}`."""

_ALIGN = 64  # bytes: one cache line, so that no AVX-512 load crosses two


def flatten(tree: Weights, prefix: str = "") -> dict[str, Array]:
    """Turn a weight tree into `{"2_residual/0_conv/W": array}`, in the tree's own order."""
    flat: dict[str, Array] = {}
    for name, value in tree.items():
        path = f"{prefix}/{name}" if prefix else name
        if isinstance(value, dict):
            flat.update(flatten(value, path))
        else:
            flat[path] = value
    return flat


def unflatten(flat: dict[str, Array]) -> Weights:
    """Undo `flatten`: `{"a/W": array}` becomes `{"a": {"W": array}}`."""
    tree: Weights = {}
    for path, value in flat.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree


def demand_finite(array: Array) -> None:
    """Stop at values that are not finite: by one product, and a look where that overflows.

    Raises:
        FloatingPointError: where there are any.
    """
    if not np.isfinite(np.vdot(array, array)) and not np.isfinite(array).all():
        raise FloatingPointError


def locked(array: Array) -> Array:
    """Return a view that cannot be written to: what is lent to code that anybody may have
    written."""
    view = array.view()
    view.flags.writeable = False
    return view


def replace_leaves(tree: Weights, arrays: dict[str, Array]) -> None:
    """Put other arrays in place of the leaves at these paths, in the tree itself."""
    for path, array in arrays.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node[parent]
        node[name] = array


class Scratch:
    """Hands out uninitialised arrays. This base class makes fresh ones and is always safe.

    `empty` gives an array that stays valid until the backward pass of the current shard is over:
    use it for results and for what backward needs. `temp` gives one that is valid only until the
    same name is asked for again, by anybody. So a temp never leaves the function that asked for
    it: it may hand the array down to be filled or read, but neither returns it nor leaves it to a
    closure, and calls nothing in between that asks for the name. A name says who asks and for
    what, `"conv.padded"`; functions that never need it at once share one, and its memory.
    """

    def empty(self, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        """Return an uninitialised C-contiguous array, valid until the shard's backward is done."""
        return np.empty(shape, dtype)

    def temp(self, name: str, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        """Return an uninitialised C-contiguous array, valid until `name` is asked for again."""
        return np.empty(shape, dtype)


FRESH = Scratch()
"""Fresh arrays every time: for callers without an arena."""


class Arena(Scratch):
    """Scratch memory of one worker thread, reused from shard to shard.

    Every shard asks for the same arrays in the same order, so the k-th request of one shard gets
    the memory of the k-th request of the shard before: the steady state allocates nothing.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[Array, Array]] = []  # (bytes, last view of them)
        self._next = 0
        self._blocks: dict[str, Array] = {}
        self._temps: dict[tuple[str, Shape, Any], Array] = {}

    def reset(self) -> None:
        """Start a new shard: every array handed out so far may be handed out again."""
        self._next = 0

    def empty(self, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        index = self._next
        self._next += 1
        if index == len(self._kept):
            block = _block(shape, dtype)
            self._kept.append((block, _view(block, shape, dtype)))
            return self._kept[index][1]
        block, view = self._kept[index]
        if view.shape != shape or view.dtype != dtype:
            if block.size < _bytes(shape, dtype):
                block = _block(shape, dtype)
            view = _view(block, shape, dtype)
            self._kept[index] = block, view
        return view

    def temp(self, name: str, shape: Shape, dtype: npt.DTypeLike = np.float32) -> Array:
        key = (name, shape, dtype)
        view = self._temps.get(key)
        if view is None:
            view = self._temps[key] = self._carve(name, shape, dtype)
        return view

    def _carve(self, name: str, shape: Shape, dtype: npt.DTypeLike) -> Array:
        block = self._blocks.get(name)
        if block is None or block.size < _bytes(shape, dtype):
            # Views of the smaller block stay valid memory, but would leave the cache cold.
            self._temps = {key: view for key, view in self._temps.items() if key[0] != name}
            block = self._blocks[name] = _block(shape, dtype)
        return _view(block, shape, dtype)


def _bytes(shape: Shape, dtype: npt.DTypeLike) -> int:
    return prod(shape) * np.dtype(dtype).itemsize


def _block(shape: Shape, dtype: npt.DTypeLike) -> Array:
    """Return bytes enough for the array, on a cache line's boundary."""
    size = _bytes(shape, dtype)
    raw = np.empty(size + _ALIGN, np.uint8)
    start = -raw.ctypes.data % _ALIGN
    return raw[start : start + size]


def _view(block: Array, shape: Shape, dtype: npt.DTypeLike) -> Array:
    return block[: _bytes(shape, dtype)].view(dtype).reshape(shape)


@dataclass(frozen=True)
class FlatLayout:
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

    @classmethod
    def by_size(
        cls, arrays: Mapping[str, Array], groups: Mapping[str, Any] | None = None
    ) -> FlatLayout:
        """Return a layout of `arrays` by size, in their own order where sizes are equal.

        Args:
            groups: what must lie together has the same value here; the rest comes first.
        """
        numbers = {group: i for i, group in enumerate(dict.fromkeys((groups or {}).values()), 1)}
        of = {path: numbers[group] for path, group in (groups or {}).items()}
        ordered = sorted(arrays, key=lambda path: (of.get(path, 0), arrays[path].size))
        return cls({path: arrays[path].shape for path in ordered})


def default_shard(batch: int) -> int:
    """Return how many images a worker takes at a time: from the batch alone, so that the order
    of sums, and with it every bit of the result, is the same for any number of threads."""
    return batch if batch < 16 else min(32, batch // 2)


def size(count: float) -> str:
    """Return a number of bytes as people write it.

    >>> size(100), size(4704), size(3 * 2**30), size(2**60)
    ('100 B', '4.6 KiB', '3.0 GiB', '1.1e+09 GiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB" if count < 1e6 else f"{count:.1e} GiB"


def counted(count: float, what: str) -> str:
    """Return how many there are of something, as people write it.

    >>> counted(1, "epoch"), counted(1234, "image"), counted(0.5, "epoch"), counted(2, "class")
    ('1 epoch', '1,234 images', '0.5 epochs', '2 classes')
    """
    plural = f"{what}{'e' * what.endswith('s')}s"
    return f"{count:{',' if isinstance(count, int) else 'g'}} {what if count == 1 else plural}"
