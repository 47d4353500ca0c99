"""The fused step: a run of layers that runs as one call forward and one back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnkit.arrays import Arena, Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, forward_chain
from cnnkit_native.graph import Unplanned
from cnnkit_native.library import Program, address
from cnnkit_native.plan import Path, Plan

_LINE = 16
_KEPT = 64  # blocks of memory whose views are remembered: one a worker and shape


class _Ready:
    """A program with what Python needs to call it, for inputs of one shape."""

    def __init__(self, plan: Plan, shape: Shape) -> None:
        self.program = Program(plan.numbers())
        self.fixed, self.per_image = plan.fixed, plan.per_image
        self.shape_in, self.shape_out = shape, plan.shape
        self.weights = plan.weights
        self.inputs = int(np.prod(shape))
        self.outputs = int(np.prod(plan.shape))
        self._leaves: tuple[list[Array], list[int]] = ([], [])
        self._blocks: dict[int, _Block] = {}

    def leaves(self, w: Weights) -> tuple[list[Array], list[int]] | None:
        """Return the weights, and their addresses and sizes; None where one is not as it was
        declared. They are the same arrays in every step, so this is remembered."""
        arrays = [_leaf(w, path) for path, _ in self.weights]
        known, spans = self._leaves
        if len(known) == len(arrays) and all(a is b for a, b in zip(arrays, known, strict=True)):
            return self._leaves
        for array, (_, shape) in zip(arrays, self.weights, strict=True):
            if array.dtype != np.float32 or array.shape != shape or not array.flags.c_contiguous:
                return None
        spans = [n for a in arrays for n in (address(a), a.size)]
        self._leaves = arrays, spans
        return self._leaves

    def block(self, n: int, back: bool, ctx: Context) -> _Block:
        """Return memory for n images. An arena gives the same array again in the next step, and
        then its views and addresses are known."""
        size = _rounded(self.fixed + n * self.per_image) + _rounded(n * self.outputs)
        if back:
            size += _rounded(n * self.inputs) + sum(_rounded(_size(s)) for _, s in self.weights)
        array = ctx.scratch.empty((size,), np.float32)
        block = self._blocks.get(id(array))
        if block is None or block.array is not array or block.n != n:
            block = _Block(self, array, n, back)
            if type(ctx.scratch) is Arena:
                if len(self._blocks) >= _KEPT:
                    self._blocks = {}
                self._blocks[id(array)] = block
        return block


class _Block:
    """One shard's memory: the arena, y, and going back dx and the gradients."""

    def __init__(self, ready: _Ready, array: Array, n: int, back: bool) -> None:
        self.array, self.n = array, n
        start = address(array)
        used = _rounded(ready.fixed + n * ready.per_image)
        self.arena = [start, used]

        def take(shape: Shape) -> tuple[Array, list[int]]:
            nonlocal used
            size = _size(shape)
            view, span = array[used : used + size].reshape(shape), [start + 4 * used, size]
            used += _rounded(size)
            return view, span

        self.y, self.y_span = take((n, *ready.shape_out))
        self.grads: list[Array] = []
        self.grad_spans: list[int] = []
        if back:
            self.dx, self.dx_span = take((n, *ready.shape_in))
            for _, shape in ready.weights:
                view, span = take(shape)
                self.grads.append(view)
                self.grad_spans += span


class Fused:
    """Some layers of a chain, run by one program; a layer on its own where there is none.

    Args:
        steps: the names and layers that it stands for.
    """

    def __init__(self, steps: Sequence[tuple[str, Layer]]) -> None:
        self.names = tuple(name for name, _ in steps)
        self.steps = tuple(steps)
        self._plans: dict[Any, _Ready | None] = {}

    def _ready(self, shape: Shape, back: bool, wants_dx: bool) -> _Ready | None:
        key = shape, back, wants_dx
        if key not in self._plans:
            try:
                self._plans[key] = _Ready(Plan(self.steps, shape, back, wants_dx), shape)
            except Unplanned:
                self._plans[key] = None
        return self._plans[key]

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        back = ctx.training or ctx.wants_dx
        ready = self._ready(x.shape[1:], back, ctx.wants_dx)
        leaves = ready.leaves(w) if ready and x.dtype == np.float32 and len(x) else None
        if ready is None or leaves is None:
            return forward_chain(self.steps, x, w, ctx._replace(fuse=None))
        x = np.ascontiguousarray(x)
        n, (_, spans) = len(x), leaves
        block = ready.block(n, back, ctx)
        x_span = [address(x), x.size]
        forward = [*block.arena, *x_span, *block.y_span, 0, 0, 0, 0, *spans]
        ready.program.run(False, n, forward)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dy = np.ascontiguousarray(dy, np.float32)
            dx_span = block.dx_span if ctx.wants_dx else (0, 0)
            spaces = [*block.arena, *x_span, *block.y_span, address(dy), dy.size, *dx_span]
            ready.program.run(True, n, [*spaces, *spans, *block.grad_spans])
            grads: Weights = {}
            for (path, _), grad in zip(ready.weights, block.grads, strict=True):
                node = grads
                for name in path[:-1]:
                    node = node.setdefault(name, {})
                node[path[-1]] = grad
            return (block.dx if ctx.wants_dx else dy), grads

        # x must outlive the block's addresses of it: the closure keeps it
        backward.x = x  # type: ignore[attr-defined]
        return block.y, backward


def _leaf(w: Weights, path: Path) -> Array:
    value: Any = w
    for name in path:
        value = value[name]
    array: Array = value
    return array


def _rounded(size: int) -> int:
    return -(-size // _LINE) * _LINE


def _size(shape: Shape) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


__all__ = ["Fused"]
