"""Summary: what each layer of a network gives, holds and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from cnnkit.arrays import Shape, Weights, flatten
from cnnkit.base import Layer, chain_shapes
from cnnkit.layers.sequential import Sequential


@dataclass(frozen=True, slots=True)
class Row:
    """One layer of a summary; shapes and counts are per image."""

    path: str
    layer: Layer
    shape: Shape
    weights: int
    macs: int
    bytes: int


def summarise(
    network: Sequential, layers: Sequence[Layer], shape: Shape, weights: Weights, itemsize: int
) -> list[Row]:
    """Return a row per layer of `network`, the lowered form of `layers`, for inputs of `shape`."""
    shapes = chain_shapes(network.layers, shape, "layers")
    rows = []
    for i, (name, layer) in enumerate(zip(network.names, layers, strict=True)):
        count = sum(w.size for w in flatten(weights.get(name, {})).values())
        macs, after = network.layers[i].macs(shapes[i]), shapes[i + 1]
        rows.append(Row(name, layer, after, count, macs, itemsize * prod(after)))
    return rows
