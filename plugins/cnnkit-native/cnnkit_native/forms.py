"""Forms: what is done to each number by itself, as the library knows it."""

from __future__ import annotations

import struct

from cnnkit.base import Layer
from cnnkit.layers import Gelu, HardSwish, LeakyRelu, Relu, Sigmoid, Silu, Tanh

COPY, RELU, SIGMOID, TANH, LEAKY_RELU, HARD_SWISH, SILU, GELU, GELU_TANH = range(9)
SLOPE = 16
"""Added to a form, going back: the gradient times its slope."""
BY_RESULT = (RELU, SIGMOID, TANH)
"""Forms whose slope is told from what came out of them; of the others, from what went in."""

OF_LAYERS: dict[type[Layer], int] = {
    Relu: RELU, Sigmoid: SIGMOID, Tanh: TANH, LeakyRelu: LEAKY_RELU, HardSwish: HARD_SWISH,
    Silu: SILU, Gelu: GELU,
}  # fmt: skip


def form_of(layer: Layer) -> tuple[int, float]:
    """Return the form of a layer of one of these classes, and what it does below zero as a leaky
    relu."""
    if isinstance(layer, LeakyRelu):
        return LEAKY_RELU, layer.slope
    if isinstance(layer, Gelu) and layer.form == "tanh":
        return GELU_TANH, 0.0
    return OF_LAYERS[type(layer)], 0.0


def goes_behind_norm(layer: Layer) -> bool:
    """Tell if a normalisation right before `layer` can do it, too: it knows what goes in only."""
    return OF_LAYERS.get(type(layer), SIGMOID) not in (SIGMOID, TANH)


def bits(share: float) -> int:
    """Return a number in float32 as the library reads it in a program."""
    found: int = struct.unpack("<I", struct.pack("<f", share))[0]
    return found
