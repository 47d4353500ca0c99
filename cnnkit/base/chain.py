"""What containers share: a chain of layers, its names and its shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import SerializeAsAny

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base.context import Context
from cnnkit.base.fault import NO_FAULT, LayerFault
from cnnkit.base.layer import Backward, Layer
from cnnkit.base.resolve import child
from cnnkit.errors import ShapeError

Layers = list[Annotated[SerializeAsAny[Layer], child("layers")]]
"""The option type of a container's children: tables or bare type names."""


def chain_shapes(layers: Sequence[Layer], shape: Shape, option: str) -> list[Shape]:
    """Return the shapes before, between and after `layers`.

    Raises:
        ShapeError: from the first layer that cannot take its input, with `option` and its index
            put before its path, its place ("layer 5 (conv)") and the trail of shapes.
    """
    shapes = [shape]
    for index, layer in enumerate(layers):
        try:
            shapes.append(layer.output_shape(shapes[-1]))
        except ShapeError as error:
            place = f"layer {index + 1} ({layer.type})"
            error.place = f"{place} > {error.place}" if error.place else place
            inner = f": {error.trail}" if error.trail else ""
            error.trail = shape_trail(layers, shapes) + inner
            error.path = (option, index, *error.path)
            raise
    return shapes


def forward_chain(
    steps: Sequence[tuple[str, Layer]], x: Array, weights: Weights, ctx: Context
) -> tuple[Array, Backward]:
    """Run named layers one after the other; the backward pass is the chain rule.

    The gradients come back under the names of the layers that have any.

    Raises:
        LayerFault: what a layer raised, with the layer's place; cnnkit's own errors pass as is.
    """
    tape: list[tuple[str, Layer, Backward]] = []
    wants_dx = ctx.wants_dx
    for name, layer in steps:
        own = weights.get(name, {})
        here = ctx.child(name, wants_dx)
        try:
            x, back = layer.forward(x, own, here)
        except NO_FAULT:
            raise
        except Exception as error:
            raise LayerFault(here.path, layer, "forward", error) from error
        # this layer learns, or somebody before it; in evaluation nobody does
        wants_dx = wants_dx or (ctx.training and bool(own))
        if wants_dx:  # else backward ends before it, as the dx it would be given need not fit
            tape.append((name, layer, back))
    return x, lambda dy: _backward_chain(tape, dy, ctx)


def _backward_chain(
    tape: Sequence[tuple[str, Layer, Backward]], dy: Array, ctx: Context
) -> tuple[Array, Weights]:
    grads: Weights = {}
    for name, layer, back in reversed(tape):
        try:
            dy, grad = back(dy)
        except NO_FAULT:
            raise
        except Exception as error:
            raise LayerFault(ctx.child(name).path, layer, "backward", error) from error
        if grad:
            grads[name] = grad
    return dy, grads


def shape_trail(layers: Sequence[Layer], shapes: Sequence[Shape]) -> str:
    """Return "input (1,12,12) -> 1 conv (6,12,12) -> 2 relu" up to the failing layer."""
    done = [
        f"{i} {layer.type} {show(after)}"
        for i, (layer, after) in enumerate(zip(layers, shapes[1:], strict=False), start=1)
    ]
    failing = f"{len(shapes)} {layers[len(shapes) - 1].type}"
    return " -> ".join([f"input {show(shapes[0])}", *done, failing])


def show(shape: Shape) -> str:
    """Return a shape as people write it: (6,12,12)."""
    return f"({','.join(map(str, shape))})"


def sized(height: int, width: int, noun: str) -> str:
    """Return what `noun` is called at its size, with the article that English wants.

    >>> sized(3, 5, "map"), sized(8, 8, "map"), sized(110, 9, "map"), sized(18, 1, "window")
    ('a 3x5 map', 'an 8x8 map', 'a 110x9 map', 'an 18x1 window')
    """
    spoken = f"{height:,}".partition(",")[0]  # 11 thousand begins as 11 does, 110 does not
    article = "an" if spoken[0] == "8" or spoken in ("11", "18") else "a"
    return f"{article} {height}x{width} {noun}"


def image_shape(shape: Shape) -> tuple[int, int, int]:
    """Return (C, H, W).

    Raises:
        ShapeError: where the shape is not an image.
    """
    if len(shape) != 3:
        raise ShapeError(
            f"needs images of shape (C,H,W), but is given {show(shape)}",
            help="put it before any flatten or dense layer",
        )
    return shape[0], shape[1], shape[2]
