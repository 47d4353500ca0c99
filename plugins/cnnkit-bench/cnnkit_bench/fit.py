"""Fit: Keras trains the network of a spec on the batches that cnnkit trains it on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cnnkit import load_spec
from cnnkit.arrays import FRESH, Array, default_shard
from cnnkit.base import Split
from cnnkit.engine.order import epoch_order
from cnnkit.engine.step import Batch
from cnnkit.model import Model
from cnnkit.prediction import prepare as prepare_images
from cnnkit.runs.data import data_paths
from cnnkit.runs.prepare import prepare
from cnnkit.specfile.runspec import RunSpec

from cnnkit_bench.peers.base import Peer

_FLOAT = np.dtype(np.float32)
_PORTION = 512
"""Images that are predicted at a time."""


def fit(peer: Peer, data_dir: str | None) -> dict[str, Any]:
    """Train a Keras peer that is open for training, and judge it on the test split.

    Returns:
        "figures", and "seconds" in Keras's steps, without the making of the images.
    """
    from cnnkit_bench.peers.keras import Keras

    if not isinstance(peer, Keras):
        raise TypeError(f"{type(peer).__name__} is no Keras peer")
    spec = load_spec(peer.case.spec, peer.case.overrides)
    ready = prepare(spec, data_paths(spec, Path(data_dir) if data_dir else None))
    ready.model.fit_transforms(ready.train.images)
    seconds = 0.0
    for x, labels, lr in steps(ready.spec, ready.model, ready.train):
        images = channels_last(x)
        started = time.perf_counter()
        peer.learn(images, labels, lr)
        seconds += time.perf_counter() - started
    test = ready.data.test
    parts = (test.images[i : i + _PORTION] for i in range(0, len(test), _PORTION))
    shown = (prepare_images(part, ready.model.transforms, _FLOAT, None, FRESH) for part in parts)
    y = np.concatenate([peer.predict(channels_last(x)) for x in shown])
    return {"figures": figures(spec, y, test.labels, len(ready.data.classes)), "seconds": seconds}


def channels_last(x: Array) -> Array:
    """Return images (N, C, H, W) as (N, H, W, C)."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def steps(spec: RunSpec, model: Model, train: Split) -> Iterator[tuple[Array, Array, float]]:
    """Yield each step's images behind the transforms (N, C, H, W), labels and learning rate: those
    of `Trainer`."""
    size, epochs, schedule = spec.train.batch, spec.train.epochs, spec.optimizer.schedule
    shard, count = spec.train.shard or default_shard(size), -(-len(train) // size)
    for epoch in range(epochs):
        order = epoch_order(len(train), spec.train.shuffle, spec.seed, epoch)
        for index in range(count):
            rows, key = order[index * size : (index + 1) * size], (spec.seed, epoch, index)
            batch = Batch(train, rows, key, shard, model.transforms, _FLOAT)
            x = np.concatenate([batch.input(s, FRESH).copy() for s in range(len(batch))])
            end = min(epoch + (index + 1) / count, epochs - 1 / count / 2)
            lr = spec.optimizer.lr * schedule.multiplier(end, epochs)
            yield x, train.labels[rows].astype(np.int64), lr


def figures(spec: RunSpec, y: Array, labels: Array, classes: int) -> dict[str, float]:
    """Return the spec's metrics that are single figures."""
    found = {one.type: one.evaluate(y, labels, classes) for one in spec.metrics}
    return {name: value for name, value in found.items() if isinstance(value, float)}
