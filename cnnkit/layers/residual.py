"""Residual: a body and a way around it."""

from functools import cached_property, lru_cache
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms, WeightTree, default
from cnnkit.base.layer import Layers, chain_shapes, show
from cnnkit.errors import ShapeError
from cnnkit.layers.conv import Conv
from cnnkit.layers.sequential import Sequential, chain


class Residual(Layer):
    """A body and a way around it, added: (N, *shape) -> (N, *body's shape).

    y = body(x) + shortcut(x), where an empty shortcut is x itself; with `project` it is a 1x1
    convolution without bias where the body changes the shape. With `drop`, training leaves out the
    body of each sample with that probability, and divides by 1 - drop where it stays (stochastic
    depth, scaled as in torchvision; the paper scales at prediction instead).
    Source: He et al., Deep Residual Learning for Image Recognition (2015); Huang et al., Deep
    Networks with Stochastic Depth (2016).

    Raises:
        ShapeError: where body and shortcut end in different shapes.

    >>> Residual(body=["relu"]).forward(np.array([[-1.0, 2.0]]), {}, Context())[0]
    array([[-1.,  4.]])
    """

    type: Literal["residual"] = "residual"
    synonyms: ClassVar[Synonyms] = {
        "residual": "resblock skip shortcut resnetblock",
        "project": "projection downsample",
        "drop": "droppath dropconnect stochasticdepth survival",
    }
    body: Annotated[Layers, Field(min_length=1)]
    """The layers of the body, first to last."""
    shortcut: Layers = default([])
    """The layers of the way around; empty means the input itself."""
    project: bool = False
    """Whether an empty shortcut becomes a 1x1 convolution where the body changes the shape."""
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the samples that skip the body in training."""

    @model_validator(mode="after")
    def _one_way_around(self) -> Self:
        if self.project and self.shortcut:
            raise ValueError("project needs an empty shortcut; leave one of the two out")
        if any(layer.name == "shortcut" for layer in self.body):
            raise ValueError('name = "shortcut" is taken by the way around; choose another one')
        return self

    @cached_property
    def _body(self) -> Sequential:
        return chain(self.body)

    def _around(self, shape: Shape, body: Shape) -> Sequential:
        """Return the way around a body that makes `body` of `shape`."""
        is_needed = self.project and not self.shortcut and shape != body
        return (_projection(shape, body) if is_needed else None) or self._shortcut

    @cached_property
    def _shortcut(self) -> Sequential:
        return chain(self.shortcut)

    def output_shape(self, shape: Shape) -> Shape:
        body = chain_shapes(self.body, shape, "body")[-1]
        around = chain_shapes(self._around(shape, body).layers, shape, "shortcut")[-1]
        if body != around:
            raise ShapeError(
                f"cannot add its body's output {show(body)} to its shortcut's {show(around)}",
                option="shortcut" if self.shortcut else "body",
                expected=f"{show(around)} from the body",
                help='keep the shape in the body (padding = "same", stride 1, as many filters as '
                "channels), or give a shortcut that changes it alike, such as a 1x1 conv",
            )
        return body

    def _chains(self, shape: Shape) -> tuple[Sequential, Sequential]:
        return self._body, self._around(shape, self._body.output_shape(shape))

    def weights(self, shape: Shape) -> WeightTree:
        body, around = self._chains(shape)
        return {"": body.weights(shape), "shortcut": around.weights(shape)}

    def lower(self) -> Self:
        body, around = ([a.lower() for a in c] for c in (self.body, self.shortcut))
        return self.changed(body=body, shortcut=around)

    def macs(self, shape: Shape) -> int:
        return sum(each.macs(shape) for each in self._chains(shape))

    def kept(self, shape: Shape) -> int:
        is_projected = self._chains(shape)[1] is not self._shortcut
        return super().kept(shape) * (1 + is_projected)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, body_back = self._body.forward(x, w, ctx)
        inner = w.get("shortcut", {}), ctx.child("shortcut")
        around, around_back = self._around(x.shape[1:], y.shape[1:]).forward(x, *inner)
        total = ctx.scratch.empty(y.shape, y.dtype)
        mask = self._mask(y, ctx) if self.drop and ctx.training else None
        np.add(y if mask is None else np.multiply(y, mask, out=total), around, out=total)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, grads = body_back(dy if mask is None else dy * mask)
            dx_around, around_grads = around_back(dy)
            if around_grads:
                grads = {**grads, "shortcut": around_grads}
            return (np.add(dx, dx_around) if ctx.wants_dx else dy), grads

        return total, backward

    def _mask(self, y: Array, ctx: Context) -> Array:
        """Return what each sample's body is multiplied by, (N, 1, ...)."""
        stays = ctx.rng("drop").random((len(y), *[1] * (y.ndim - 1)), np.float32) >= self.drop
        mask: Array = stays / y.dtype.type(1 - self.drop)
        return mask


@lru_cache(maxsize=256)
def _projection(shape: Shape, body: Shape) -> Sequential | None:
    """Return a 1x1 convolution that makes `body` of `shape`, or None where none does."""
    if not len(shape) == len(body) == 3:
        return None
    strides = [-(-a // b) for a, b in zip(shape[1:], body[1:], strict=True)]
    made = Conv(filters=body[0], kernel=1, stride=strides, bias="none")
    return Sequential(layers=[made]) if made.output_shape(shape) == body else None
