"""The fused step: a run of layers that runs as one call forward and one back."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from cnnkit.arrays import Arena, Array, Scratch, Shape, Weights
from cnnkit.base import Backward, Context, Layer, forward_chain
from cnnkit_native.graph import Path, Unplanned
from cnnkit_native.library import Program, address
from cnnkit_native.plan import Plan
from cnnkit_native.value import DY, X

_LINE = 16
_MANY = 8  # images, from which on transforming all weights costs less than it saves
_KEPT = 64  # blocks of memory whose views are remembered: one a worker and shape


class _Ready:
    """A program with what Python needs to call it, for inputs of one shape."""

    def __init__(self, plan: Plan, shape: Shape, back: bool) -> None:
        self.program = Program(plan.numbers())
        self.fixed, self.per_image, self.back = plan.fixed, plan.per_image, back
        self.shape_in, self.shape_out = shape, plan.shape
        self.weights = plan.weights
        self.inputs, self.outputs = prod(shape), prod(plan.shape)
        self.grads = sum(_rounded(prod(shape)) for _, shape in plan.weights)
        self._leaves: tuple[list[int], list[Array], list[int]] = ([], [], [])
        self._blocks: dict[int, _Block] = {}

    def leaves(self, w: Weights) -> list[int] | None:
        """Return the weights' addresses and sizes; None where one is not as it was declared.

        They are the same arrays in every step, so this is remembered.
        """
        arrays = [_leaf(w, path) for path, _ in self.weights]
        ids, _, spans = self._leaves
        if [*map(id, arrays)] == ids:
            return spans
        for array, (_, shape) in zip(arrays, self.weights, strict=True):
            if array.dtype != np.float32 or array.shape != shape or not array.flags.c_contiguous:
                return None
        spans = [n for a in arrays for n in (address(a), a.size)]
        self._leaves = [*map(id, arrays)], arrays, spans  # which keeps the arrays: ids stay theirs
        return spans

    def block(self, n: int, spans: list[int], scratch: Scratch) -> _Block:
        """Return memory for n images. An arena gives the same array again in the next step, and
        then its views and addresses are known."""
        size = _rounded(self.fixed + n * self.per_image) + _rounded(n * self.outputs)
        if self.back:
            size += _rounded(n * self.inputs) + self.grads
        array = scratch.empty((size,), np.float32)
        block = self._blocks.get(id(array))
        if block is None or block.array is not array or block.n != n or block.spans is not spans:
            block = _Block(self, array, n, spans)
            if type(scratch) is Arena:
                if len(self._blocks) >= _KEPT:
                    self._blocks = {}
                self._blocks[id(array)] = block
        return block


class _Block:
    """One shard's memory: the arena, y, and going back dx and the gradients; and its calls."""

    def __init__(self, ready: _Ready, array: Array, n: int, spans: list[int]) -> None:
        self.array, self.n, self.spans = array, n, spans
        start, used = address(array), _rounded(ready.fixed + n * ready.per_image)
        arena = [start, used]

        def take(shape: Shape) -> tuple[Array, list[int]]:
            nonlocal used
            size = prod(shape)
            view, span = array[used : used + size].reshape(shape), [start + 4 * used, size]
            used += _rounded(size)
            return view, span

        self.y, y_span = take((n, *ready.shape_out))
        spaces = [*arena, 0, 0, *y_span, 0, 0]  # x and dy are placed in each call
        self.forward = ready.program.call(False, n, [*spaces, 0, 0, *spans])
        if ready.back:
            self.dx, dx_span = take((n, *ready.shape_in))
            taken = [take(shape) for _, shape in ready.weights]
            self.tree = _tree(ready.weights, [view for view, _ in taken])
            grads = [number for _, span in taken for number in span]
            self.backward = ready.program.call(True, n, [*spaces, *dx_span, *spans, *grads])


class Fused:
    """Some layers of a chain, run by one program; a layer on its own where there is none.

    Args:
        steps: the names and layers that it stands for.
    """

    def __init__(self, steps: Sequence[tuple[str, Layer]]) -> None:
        self.names = tuple(name for name, _ in steps)
        self.steps = tuple(steps)
        self._plans: dict[Any, _Ready | None] = {}

    def _ready(self, shape: Shape, back: bool, wants_dx: bool, many: bool) -> _Ready | None:
        key = shape, back, wants_dx, many
        if key not in self._plans:
            try:
                self._plans[key] = _Ready(Plan(self.steps, *key), shape, back)
            except Unplanned:
                self._plans[key] = None
        return self._plans[key]

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        back = ctx.training or ctx.wants_dx
        ready = self._ready(x.shape[1:], back, ctx.wants_dx, len(x) >= _MANY)
        spans = ready.leaves(w) if ready and x.dtype == np.float32 and len(x) else None
        if ready is None or spans is None:
            return forward_chain(self.steps, x, w, ctx._replace(fuse=None))
        x = np.ascontiguousarray(x)
        block = ready.block(len(x), spans, ctx.scratch)
        at = address(x), x.size
        block.forward.place(X, *at)
        block.forward.run()

        def backward(dy: Array, x: Array = x) -> tuple[Array, Weights]:  # x stays for the addresses
            dy = np.ascontiguousarray(dy, np.float32)
            block.backward.place(X, *at)
            block.backward.place(DY, address(dy), dy.size)
            block.backward.run()
            return (block.dx if ctx.wants_dx else dy), block.tree

        return block.y, backward


def _tree(weights: list[tuple[Path, Shape]], arrays: list[Array]) -> Weights:
    tree: Weights = {}
    for (path, _), array in zip(weights, arrays, strict=True):
        node = tree
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = array
    return tree


def _leaf(w: Weights, path: Path) -> Array:
    value: Any = w
    for name in path:
        value = value[name]
    array: Array = value
    return array


def _rounded(size: int) -> int:
    return -(-size // _LINE) * _LINE
