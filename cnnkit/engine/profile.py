"""Profile: where the time of a training step goes, layer by layer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import numpy as np

from cnnkit.arrays import Arena, Array, Weights, default_shard
from cnnkit.base import Backward, Context, Layer, Loss, forward_chain
from cnnkit.model import Model
from cnnkit.plan import Plan
from cnnkit.workers import one_blas_thread

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timing:
    """One layer's share of a training step, on one thread.

    Args:
        path: the layer's name in the network.
        type: its type.
        forward, backward: median seconds per image.
        forward_flops, backward_flops: arithmetic per image, 2 per multiply-accumulate.
    """

    path: str
    type: str
    forward: float
    backward: float
    forward_flops: int
    backward_flops: int


def profile(model: Model, plan: Plan, batch: int, repeats: int = 30) -> list[Timing]:
    """Time every layer on random images, a shard of the size that a batch of `batch` is cut to.

    The layers come in the order of the spec. The loss, with a head that it has taken over, comes
    last under its own name.
    """
    size, rng = default_shard(batch), np.random.default_rng(0)
    x = rng.random((size, *model.input_shape)).astype(model.dtype) - model.dtype.type(0.5)
    labels = rng.integers(0, max(len(model.classes), 2), size)
    steps = [step for segment in plan.segments for step in segment.steps]
    watch, arena = _Stopwatch(), Arena()
    with one_blas_thread():
        for _ in range(repeats + 2):
            arena.reset()
            ctx = Context(True, False, arena, tap=watch.layer)
            y, back = forward_chain(steps, x, model.weights, ctx)
            back(watch.loss(plan.loss, y, labels))
    run, rows = {name for name, _ in steps}, []
    learned = False  # the first layer that learns computes no dx
    for row in model.summary():
        if row.path in run:
            flops = 2 * row.macs
            rows.append(watch.timing(row.path, row.layer.type, size, flops, flops * (1 + learned)))
            learned = learned or row.weights > 0
    return [*rows, watch.timing(_LOSS, plan.loss.type, size, 0, 0)]


_LOSS = "loss"


class _Stopwatch:
    """A tap that notes the seconds that each layer takes, forward (0) and backward (1)."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int], list[float]] = {}

    def layer(self, layer: Layer, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        ctx = ctx._replace(tap=None)  # what is inside a layer counts as the layer
        y, back = self._timed(ctx.path, 0, lambda: layer.forward(x, w, ctx))
        return y, lambda dy: self._timed(ctx.path, 1, lambda: back(dy))

    def loss(self, loss: Loss, y: Array, labels: Array) -> Array:
        return self._timed(_LOSS, 0, lambda: loss.forward(y, labels)[1]())

    def _timed(self, name: str, turn: int, call: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = call()
        self._seconds.setdefault((name, turn), []).append(time.perf_counter() - started)
        return result

    def timing(self, path: str, type: str, images: int, *flops: int) -> Timing:
        """Return the medians, the first two left out; 0 for a backward pass that never ran."""
        seconds = (self._seconds.get((path, turn), [0.0])[2:] or [0.0] for turn in (0, 1))
        forward, backward = (median(each) / images for each in seconds)
        return Timing(path, type, forward, backward, *flops)
