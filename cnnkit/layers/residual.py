"""Residual: a body and a way around it."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, WeightTree
from cnnkit.base.component import Synonyms
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
    shortcut: Layers = Field(default_factory=list)
    """The layers of the way around; empty means the input itself."""

    @cached_property
    def _body(self) -> Sequential:
        return Sequential(layers=self.body)

    @cached_property
    def _shortcut(self) -> Sequential | None:
        return Sequential(layers=self.shortcut) if self.shortcut else None

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
        around = self._shortcut.weights(shape) if self._shortcut else {}
        return {"": self._body.weights(shape), "shortcut": around}

    def lower(self) -> Residual:
        return Residual(
            body=[layer.lower() for layer in self.body],
            shortcut=[layer.lower() for layer in self.shortcut],
        )

    def macs(self, shape: Shape) -> int:
        around = self._shortcut.macs(shape) if self._shortcut else 0
        return self._body.macs(shape) + around

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, body_back = self._body.forward(x, w, ctx)
        around, around_back = self._way_around(x, w, ctx)
        total = np.add(y, around, out=ctx.scratch.empty(y.shape, y.dtype))

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, grads = body_back(dy)
            dx_around, around_grads = around_back(dy)
            if around_grads:
                grads = {**grads, "shortcut": around_grads}
            return (np.add(dx, dx_around) if ctx.wants_dx else dy), grads

        return total, backward

    def _way_around(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        if self._shortcut is None:
            return x, lambda dy: (dy, {})
        inner = ctx.child("shortcut")
        return self._shortcut.forward(x, w.get("shortcut", {}), inner)
