"""Advice: what a practitioner would change in a spec that is valid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from cnnkit.arrays import Shape
from cnnkit.base import Layer
from cnnkit.base.weight import count
from cnnkit.source import Finding
from cnnkit.specfile.checks import input_info
from cnnkit.specfile.placed import At, placed

if TYPE_CHECKING:
    from cnnkit.specfile.runspec import RunSpec

_MOST = 100
"""Weights in dense layers for each image to train on."""


def advice(spec: RunSpec) -> list[Finding]:
    """Return what a valid spec would better not have: nothing of it is wrong, and all of it costs.
    Empty where the shape of an image is not known."""
    shape, info = input_info(spec)
    if shape is None:
        return []
    found, inside = list[Finding](), placed(spec.model.layers, shape)
    for chain in inside:
        found += [
            *_doubled_bias(chain),
            *(one for at in chain for one in (*_wide(at), *_skips(at))),
        ]
    images = info.train if info else None
    return [
        *found,
        *_slow_loss(spec, inside[0][-1].layer),
        *(_large_head(spec, shape, images) if images else ()),
    ]


def _doubled_bias(chain: list[At]) -> Iterator[Finding]:
    steps = (at for at in chain if at.layer.type != "sequential")  # whose layers stand behind it
    for first, second in pairwise(steps):  # a bias per pixel is no constant of its channel
        if second.layer.type == "batch_norm" and getattr(first.layer, "bias", "") == "tied":
            yield Finding(
                (*first.path, "bias"),
                f"{first.place} has a bias, which the batch_norm behind it takes away",
                help='give it bias = "none": batch_norm has a beta of its own',
            )


def _window(at: At) -> tuple[str, tuple[int, int]] | None:
    """Return the option that says how large a layer's window is, and its sides; None without."""
    for option in ("kernel", "size"):
        sides = getattr(at.layer, option, None)
        if len(at.shape) == 3 and isinstance(sides, tuple) and len(sides) == 2:
            return option, sides
    return None


def _wide(at: At) -> Iterator[Finding]:
    if (window := _window(at)) is None:
        return
    (option, sides), (_, *room) = window, at.shape
    gaps = getattr(at.layer, "dilation", (1, 1))
    fits = [min(k, (n - 1) // d + 1) for k, n, d in zip(sides, room, gaps, strict=True)]
    if list(sides) != fits:
        yield Finding(
            (*at.path, option),
            f"{at.place} has a {option} of {_x(sides)}, larger than its {_x(room)} map: most of "
            "what it sees is padding",
            help=f"use {option} = {fits[0] if fits[0] == fits[1] else fits}, or drop a pool "
            "before it",
        )


def _skips(at: At) -> Iterator[Finding]:
    stride = getattr(at.layer, "stride", None)
    if (window := _window(at)) is None or stride is None:
        return
    option, sides = window
    projects = "shortcut" in at.path and sides == (1, 1)  # as residual networks do
    if not projects and any(s > k for s, k in zip(stride, sides, strict=True)):
        yield Finding(
            (*at.path, "stride"),
            f"{at.place} has a stride of {_x(stride)}, larger than its {option} of {_x(sides)}: "
            "it never sees the pixels between",
            help=f"use a {option} at least as large as the stride",
        )


def _x(sides: Sequence[int]) -> str:
    return "x".join(map(str, sides))


_SLOW = {
    "mean_squared_error": "hardly learns from an image that is told wrong with certainty",
    "binary_cross_entropy": "judges each probability by itself, though they add up to 1",
}
"""What losses that can be had behind a softmax do there."""


def _slow_loss(spec: RunSpec, head: Layer) -> Iterator[Finding]:
    if head.type == "softmax" and spec.loss.type in _SLOW:
        yield Finding(
            ("loss",),
            f"[loss]: {spec.loss.type} behind a softmax {_SLOW[spec.loss.type]}",
            help='use loss type "cross_entropy"',
        )


def _large_head(spec: RunSpec, shape: Shape, images: int) -> Iterator[Finding]:
    folds, subset = spec.data.folds, spec.train.subset
    images = round(images * (1 - (1 / folds if folds else spec.data.validation)))
    images = min(images, subset or images)
    every = (at for chain in placed(spec.model.layers, shape) for at in chain)
    dense = [(count(at.layer.weights(at.shape)), at) for at in every
             if getattr(at.layer, "units", None)]  # fmt: skip
    total = sum(weights for weights, _ in dense)
    if total > _MOST * images:
        weights, at = max(dense, key=lambda one: one[0])
        yield Finding(
            (*at.path, "units"),
            f"the dense layers hold {total:,} weights, {total // images:,} for each of the "
            f"{images:,} images to train on, {weights:,} of them in {at.place}",
            help="put a global_pool or another pool before it, or use fewer units",
        )
