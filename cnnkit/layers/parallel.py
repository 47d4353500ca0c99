"""Parallel: several ways from one input, joined."""

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms, WeightTree
from cnnkit.base.layer import Branches, chain_shapes, show
from cnnkit.errors import ShapeError
from cnnkit.layers.sequential import Sequential, chain


class Parallel(Layer):
    """Several ways from one input, joined: (N, *shape) -> (N, *what the branches give, joined).

    y = the branches' outputs side by side as channels, their sum, or their mean.
    Source: Szegedy et al., Going Deeper with Convolutions (2014).

    Raises:
        ShapeError: where the branches' outputs cannot be joined.

    >>> Parallel(branches=[["relu"], ["tanh"], []]).output_shape((4, 8, 8))
    (12, 8, 8)
    """

    type: Literal["parallel"] = "parallel"
    synonyms: ClassVar[Synonyms] = {
        "parallel": "inception branches",
        'join = "concat"': "concat concatenate merge",
        "branches": "paths towers",
    }
    branches: Annotated[Branches, Field(min_length=1)]
    """The branches, each an array of layers, first to last; an empty one is the input itself."""
    join: Literal["concat", "add", "mean"] = "concat"
    """How their outputs become one: as more channels, as a sum, or as a mean."""

    @cached_property
    def _chains(self) -> list[tuple[str, Sequential]]:
        return [(f"{i}_branch", chain(layers)) for i, layers in enumerate(self.branches)]

    def _shapes(self, shape: Shape) -> list[Shape]:
        """Return what each branch gives."""
        found = []
        for index, layers in enumerate(self.branches):
            try:
                found.append(chain_shapes(layers, shape, "branches")[-1])
            except ShapeError as error:
                error.path = (error.path[0], index, *error.path[1:])
                error.place = f"branch {index + 1} {error.place}"
                raise
        return found

    def output_shape(self, shape: Shape) -> Shape:
        first, *others = shapes = self._shapes(shape)
        axes = 1 if self.join == "concat" else 0  # the first that must be alike
        for index, other in enumerate(others):
            if len(other) != len(first) or other[axes:] != first[axes:]:
                alike = ("C", *map(str, first[1:])) if axes else map(str, first)
                raise ShapeError(
                    f"cannot join its branches: branch 1 gives {show(first)}, "
                    f"branch {index + 2} {show(other)}",
                    option="branches",
                    expected=f"({','.join(alike)}) from each",
                    help='keep the shape (padding = "same", stride 1) or change it alike in each '
                    "branch",
                )
        return (sum(shape[0] for shape in shapes), *first[1:]) if axes else first

    def weights(self, shape: Shape) -> WeightTree:
        return {name: chain.weights(shape) for name, chain in self._chains}

    def lower(self) -> Self:
        return self.changed(branches=[[layer.lower() for layer in b] for b in self.branches])

    def macs(self, shape: Shape) -> int:
        return sum(chain.macs(shape) for _, chain in self._chains)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        results = [
            (name, *chain.forward(x, w.get(name, {}), ctx.child(name)))
            for name, chain in self._chains
        ]
        outputs = [y for _, y, _ in results]
        if self.join == "concat":
            y = np.concatenate(outputs, axis=1)
        else:
            y = _total(outputs)
            y /= len(outputs) if self.join == "mean" else 1

        def backward(dy: Array) -> tuple[Array, Weights]:
            shares = [dy] * len(outputs)
            if self.join == "concat":
                ends = np.cumsum([y.shape[1] for y in outputs])
                shares = np.split(dy, ends[:-1], axis=1)
            elif self.join == "mean":
                shares = [dy / x.dtype.type(len(outputs))] * len(outputs)
            back = [(name, *b(share)) for (name, _, b), share in zip(results, shares, strict=True)]
            dx = _total([dx for _, dx, _ in back]) if ctx.wants_dx else dy
            return dx, {name: grads for name, _, grads in back if grads}

        return y, backward


def _total(arrays: Sequence[Array]) -> Array:
    """Return the sum of arrays, in their order, as an array of its own."""
    total = arrays[0].copy()
    for other in arrays[1:]:
        total += other
    return total
