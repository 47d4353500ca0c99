"""Residual: a body and a way around it."""

from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms, WeightTree, default
from cnnkit.base.layer import Layers, chain_shapes, show
from cnnkit.errors import ShapeError
from cnnkit.layers.sequential import Sequential


class Residual(Layer):
    """A body and a way around it, added: (N, *shape) -> (N, *body's shape).

    y = body(x) + shortcut(x), where an empty shortcut is x itself.
    Source: He et al., Deep Residual Learning for Image Recognition (2015).

    Raises:
        ShapeError: where body and shortcut end in different shapes.

    >>> Residual(body=["relu"]).forward(np.array([[-1.0, 2.0]]), {}, Context())[0]
    array([[-1.,  4.]])
    """

    type: Literal["residual"] = "residual"
    synonyms: ClassVar[Synonyms] = {"residual": "resblock skip shortcut resnetblock"}
    body: Annotated[Layers, Field(min_length=1)]
    """The layers of the body, first to last."""
    shortcut: Layers = default([])
    """The layers of the way around; empty means the input itself."""

    @cached_property
    def _body(self) -> Sequential:
        return Sequential(layers=self.body)

    @cached_property
    def _shortcut(self) -> Sequential:
        return Sequential.model_construct(layers=self.shortcut)  # unvalidated: it may be empty

    def output_shape(self, shape: Shape) -> Shape:
        body = chain_shapes(self.body, shape, "body")[-1]
        around = chain_shapes(self.shortcut, shape, "shortcut")[-1]
        if body != around:
            raise ShapeError(
                f"cannot add its body's output {show(body)} to its shortcut's {show(around)}",
                option="shortcut" if self.shortcut else "body",
                expected=f"{show(around)} from the body",
                help='keep the shape in the body (padding = "same", stride 1, as many filters as '
                "channels), or give a shortcut that changes it alike, such as a 1x1 conv",
            )
        return body

    def weights(self, shape: Shape) -> WeightTree:
        return {"": self._body.weights(shape), "shortcut": self._shortcut.weights(shape)}

    def lower(self) -> Self:
        body, around = ([a.lower() for a in chain] for chain in (self.body, self.shortcut))
        return type(self)(body=body, shortcut=around)

    def macs(self, shape: Shape) -> int:
        return self._body.macs(shape) + self._shortcut.macs(shape)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, body_back = self._body.forward(x, w, ctx)
        inner = w.get("shortcut", {}), ctx.child("shortcut")
        around, around_back = self._shortcut.forward(x, *inner)
        total = np.add(y, around, out=ctx.scratch.empty(y.shape, y.dtype))

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, grads = body_back(dy)
            dx_around, around_grads = around_back(dy)
            if around_grads:
                grads = {**grads, "shortcut": around_grads}
            return (np.add(dx, dx_around) if ctx.wants_dx else dy), grads

        return total, backward
