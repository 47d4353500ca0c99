"""The rows of `cnnkit show`: what each layer makes and costs, nested ones included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from cnnkit.arrays import Shape, flatten
from cnnkit.base import Layer, chain_shapes
from cnnkit.layers.sequential import Sequential


@dataclass(frozen=True, slots=True)
class Row:
    """One layer: `place` such as "3.1" (the first layer inside the third), figures per image.

    A container's figures include those of the layers inside; `bytes` are what the outputs take.
    """

    place: str
    depth: int
    type: str
    shape: Shape
    weights: int
    macs: int
    bytes: int


def layer_rows(
    layers: Sequence[Layer], shape: Shape, itemsize: int, prefix: str = "", depth: int = 0
) -> Iterator[Row]:
    """Yield a row per layer, a container before the layers inside it.

    Args:
        layers: a chain that takes images of `shape`.
        itemsize: bytes of one number.
    """
    shapes = chain_shapes(layers, shape, "layers")
    for index, layer in enumerate(layers):
        before, after = shapes[index : index + 2]
        place = f"{prefix}{index + 1}"
        inside = [
            row
            for name, chain in _chains(layer)
            for row in layer_rows(chain, before, itemsize, f"{place}.{name}", depth + 1)
        ]
        direct = [row for row in inside if row.depth == depth + 1]
        own = 0 if isinstance(layer, Sequential) else itemsize * prod(after)
        yield Row(
            place,
            depth,
            layer.type,
            after,
            max(_weights(layer, before, bool(direct)), sum(row.weights for row in direct)),
            layer.macs(before),
            own + sum(row.bytes for row in direct),
        )
        yield from inside


def _chains(layer: Layer) -> Iterator[tuple[str, list[Layer]]]:
    """Yield the chains among a container's options; all but the first are called by name."""
    chains = [(name, _chain(getattr(layer, name))) for name in type(layer).model_fields]
    for index, (name, chain) in enumerate((n, c) for n, c in chains if c):
        yield (f"{name}." if index else ""), chain


def _chain(value: Any) -> list[Layer]:
    items = value if isinstance(value, list | tuple) else [value]
    return list(items) if all(isinstance(item, Layer) for item in items) else []


def _weights(layer: Layer, shape: Shape, is_container: bool) -> int:
    """Count the layer's weights; one that does not say has few, and drawing them is cheap."""
    count = layer.weight_count(shape)
    if count or is_container:
        return count
    return sum(
        w.size for w in flatten(layer.init_weights(shape, np.random.default_rng(0))).values()
    )
