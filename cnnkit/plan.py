"""Plan: a network cut where samples meet, with its head fused into the loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from cnnkit.base import Backend, Layer, Loss
from cnnkit.base.backend import Fusing
from cnnkit.base.component import walk
from cnnkit.layers.sequential import Sequential

Steps = tuple[tuple[str, Layer], ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive layers that run together: shard by shard, or on the whole batch.

    Args:
        gathers: whether the shards meet in one of them, each in the middle of its way.
    """

    steps: Steps
    couples_batch: bool
    gathers: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engine runs in training.

    Args:
        segments: the network, less a head that the loss has taken over.
        head: that head, or None; it turns the segments' output into predictions.
        loss: judges the segments' output.
        whole: judges the whole network's, the head's included.
        fuse: turns the steps into a backend's as they are run; None where they run as they are.
    """

    segments: tuple[Segment, ...]
    head: Layer | None
    loss: Loss
    whole: Loss
    fuse: Fusing | None = None

    @property
    def gathers(self) -> bool:
        """Whether shards meet anywhere on their way."""
        return any(segment.gathers for segment in self.segments)

    def on(self, backend: Backend, dtype: np.dtype[Any]) -> Plan:
        """Return the plan as a backend runs it."""
        loss, fuse = backend.fuse_loss(self.loss, dtype), Fusing(backend, dtype, training=True)
        return replace(self, loss=loss, fuse=fuse)


def make_plan(network: Sequential, loss: Loss) -> Plan:
    """Fuse the head into the loss where the loss knows how, and cut the rest into segments."""
    head = tail(network)
    fused = loss.fuse(head)
    if fused is None:
        return Plan(_segments(tuple(network.steps)), None, loss, loss)
    return Plan(_segments(_without_tail(network)), head, fused, loss)


def tail(network: Sequential) -> Layer:
    """Return the very last layer, inside chains of chains too."""
    last = network.layers[-1]
    return tail(last) if isinstance(last, Sequential) else last


def _without_tail(network: Sequential) -> Steps:
    """Return the steps less the very last layer; the others keep their names."""
    *kept, (name, last) = network.steps
    if isinstance(last, Sequential) and (inner := _without_tail(last)):
        kept.append((name, Sequential(layers=[layer for _, layer in inner], label=last.label)))
    return tuple(kept)


def couples(layer: Layer) -> bool:
    """Tell if anything inside `layer` needs the whole batch at once."""
    return any(i.couples_batch and not i.gathers for i in _inside(layer))


def _inside(layer: Layer) -> Iterator[Layer]:
    return (inner for _, inner in walk(layer) if isinstance(inner, Layer))


def _segments(steps: Steps) -> tuple[Segment, ...]:
    found = []
    for together, group in groupby(steps, key=lambda step: couples(step[1])):
        part = tuple(group)
        gathers = any(inner.gathers for _, layer in part for inner in _inside(layer))
        found.append(Segment(part, together, gathers))
    return tuple(found)
