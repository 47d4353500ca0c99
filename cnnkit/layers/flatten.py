"""Flatten."""

from math import prod
from typing import ClassVar, Literal

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms


class Flatten(Layer):
    """All of a sample in one row: shape -> (prod(shape),), in C order.

    >>> Flatten().output_shape((6, 14, 14))
    (1176,)
    """

    type: Literal["flatten"] = "flatten"
    synonyms: ClassVar[Synonyms] = {"flatten": "flat reshape view"}

    def output_shape(self, shape: Shape) -> Shape:
        return (prod(shape),)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        return x.reshape(len(x), prod(x.shape[1:])), lambda dy: (dy.reshape(x.shape), {})
