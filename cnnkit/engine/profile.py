"""Profile: where the time of a training step goes, layer by layer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from cnnkit.arrays import Arena, Array, default_shard
from cnnkit.base import Backward, Context, Layer, Loss
from cnnkit.engine.plan import Plan
from cnnkit.model import Model
from cnnkit.workers import one_blas_thread


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

    The loss, with a head that it has taken over, comes last under its own name.
    """
    size, rng = default_shard(batch), np.random.default_rng(0)
    x = rng.random((size, *model.input_shape)).astype(model.dtype) - model.dtype.type(0.5)
    labels = rng.integers(0, max(len(model.classes), 2), size)
    steps = [step for segment in plan.segments for step in segment.steps]
    arena = Arena()
    with one_blas_thread():
        runs = [_run(steps, plan.loss, x, labels, model, arena) for _ in range(repeats + 2)][2:]
    costs = _flops(steps, model)
    rows = []
    for i, (path, layer) in enumerate([*steps, ("loss", plan.loss)]):
        forward, backward = (median(run[i][turn] for run in runs) / size for turn in (0, 1))
        rows.append(Timing(path, layer.type, forward, backward, *costs[i]))
    return rows


def _run(
    steps: Sequence[tuple[str, Layer]],
    loss: Loss,
    x: Array,
    labels: Array,
    model: Model,
    arena: Arena,
) -> list[list[float]]:
    """Return [forward, backward] seconds of each layer and of the loss, for one shard."""
    arena.reset()
    ctx = Context(True, False, arena)
    seconds: list[list[float]] = []
    tape: list[Backward] = []
    for name, layer in steps:
        weights, started = model.weights.get(name, {}), time.perf_counter()
        x, back = layer.forward(x, weights, ctx.child(name, bool(tape)))
        seconds.append([time.perf_counter() - started, 0.0])
        if weights or tape:  # as in training, where backward ends at the first that learns
            tape.append(back)
    started = time.perf_counter()
    _, slope = loss.forward(x, labels)
    dy = slope()
    for i in range(1, len(tape) + 1):
        moment = time.perf_counter()
        dy, _ = tape[-i](dy)
        seconds[-i][1] = time.perf_counter() - moment
        started += seconds[-i][1]
    return [*seconds, [time.perf_counter() - started, 0.0]]


def _flops(steps: Sequence[tuple[str, Layer]], model: Model) -> list[tuple[int, int]]:
    """Return (forward, backward) FLOP per image; the first layer that learns computes no dx."""
    shape, learned, costs = model.input_shape, False, []
    for name, layer in steps:
        flops = 2 * layer.macs(shape)
        costs.append((flops, flops * (1 + learned)))
        learned = learned or bool(model.weights.get(name))
        shape = layer.output_shape(shape)
    return [*costs, (0, 0)]
