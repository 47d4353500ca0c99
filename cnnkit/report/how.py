"""How one number comes about: what a layer saw, what it multiplied it by, and the sum."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from cnnkit.arrays import Array
from cnnkit.layers.conv import Conv
from cnnkit.layers.padding import pads
from cnnkit.layers.pool import Pool
from cnnkit.report.inside import chosen
from cnnkit.report.tracing import Seen, local_weights

CHANNELS = 8
"""Maps of a layer that a page shows."""
_TERMS, _SIDE = 3, 7
"""Channels that are written out, and the side of the largest window that is."""


@dataclass(frozen=True, slots=True)
class Term:
    """What one channel of the input adds.

    Args:
        box: first row, first column, rows and columns of the window in the map.
        values, weights: what is multiplied, row by row.
    """

    channel: int
    box: tuple[int, int, int, int]
    values: list[list[float]]
    weights: list[list[float]]
    total: float


@dataclass(frozen=True, slots=True)
class How:
    """How a number came about: value = the terms' totals + others + rest.

    Args:
        cell: its place in the layer's output.
        others: what the channels add that are not written out, and how many these are.
        rest: what is left over, such as the bias.
    """

    cell: tuple[int, ...]
    value: float
    terms: Sequence[Term]
    others: float
    count: int
    rest: float


def how(one: Seen) -> How | None:
    """Return how the largest number of a layer came about; None where its window is too large to
    be written out, or a single number."""
    if one.y.ndim != 3 or one.x.ndim != 3:
        return None
    shown = one.y[chosen(len(one.y), CHANNELS)]
    place = np.unravel_index(int(shown.argmax()), shown.shape)
    cell = (chosen(len(one.y), CHANNELS)[int(place[0])], int(place[1]), int(place[2]))
    weights = local_weights(one, cell)
    parts = (weights * one.x).sum(axis=(1, 2))
    box = _box(one, cell, weights)
    if box is None or max(box[2:]) > _SIDE:
        return None
    used = np.flatnonzero(np.abs(weights).sum(axis=(1, 2)))
    if box[2] * box[3] * len(used) < 2:
        return None
    few = [int(c) for c in used[np.argsort(-np.abs(parts[used]), kind="stable")][:_TERMS]]
    row, column, rows, columns = box
    window = np.s_[row : row + rows, column : column + columns]
    terms = [Term(c, box, one.x[c][window].tolist(), weights[c][window].tolist(), float(parts[c]))
             for c in few]  # fmt: skip
    value, others = float(one.y[cell]), float(parts.sum() - parts[few].sum())
    rest = value - float(parts.sum())
    return How(cell, value, terms, others, len(used) - len(few), rest)


def _box(one: Seen, cell: tuple[int, ...], weights: Array) -> tuple[int, int, int, int] | None:
    """Return the window that a cell looks through: that of a pool whole, though the largest number
    alone counts; of other layers, all that would change it."""
    if isinstance(one.layer, Pool):
        (rows, columns), (down, across) = one.layer.size, one.layer.stride or one.layer.size
        return cell[1] * down, cell[2] * across, rows, columns
    places = np.argwhere(np.abs(weights).sum(axis=0))
    if not len(places):
        return None
    first, last = places.min(axis=0), places.max(axis=0)
    return int(first[0]), int(first[1]), *(int(n) + 1 for n in last - first)  # type: ignore[return-value]


def script_facts(one: Seen, key: str, key_of_input: str) -> dict[str, Any]:
    """Return what the page's script needs to explain any number of a layer: geometry and weights.

    Args:
        key, key_of_input: under which the page has the maps that came out, and those that went in.
    """
    facts: dict[str, Any] = {"y": key, "x": key_of_input, "kind": "value"}
    layer = one.layer
    if one.x.ndim != 3 or one.y.ndim != 3:
        return facts
    if isinstance(layer, Conv):
        top_left = pads(layer.padding, one.x.shape[1:], layer.kernel, layer.stride, layer.dilation)
        groups = layer.groups
        filters = chosen(layer.filters, CHANNELS)
        facts |= {
            "kind": "conv", "stride": layer.stride, "dilation": layer.dilation,
            "pad": [top_left[0][0], top_left[1][0]], "kernel": layer.kernel,
            "channels": len(one.x) // groups,
            "first": {f: f // (layer.filters // groups) * (len(one.x) // groups) for f in filters},
            "W": packed(one.weights["W"][filters]),
        }  # fmt: skip
    elif isinstance(layer, Pool):
        facts |= {"kind": layer.kind, "stride": layer.stride or layer.size, "kernel": layer.size}
    elif one.x.shape == one.y.shape:
        facts["kind"] = "same"
    return facts


def packed(array: Array) -> dict[str, Any]:
    """Return an array for the script: 16 bits a number, the largest being 32767 `unit`s."""
    finite = np.nan_to_num(array.astype(np.float64))
    unit = (float(np.abs(finite).max()) if finite.size else 0.0) / 32767 or 1.0
    numbers = (finite / unit).round().astype("<i2")
    return {
        "shape": array.shape,
        "unit": unit,
        "data": base64.b64encode(numbers.tobytes()).decode(),
    }


def size_of(array: Array) -> int:
    """Return the characters that `packed` takes for the maps shown of a layer."""
    return prod(array.shape[1:]) * min(len(array), CHANNELS) * 8 // 3
