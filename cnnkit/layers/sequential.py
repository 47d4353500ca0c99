"""Sequential: layers one after the other."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, WeightTree
from cnnkit.base.layer import Layers, chain_shapes, forward_chain
from cnnkit.layers.pool import Pool
from cnnkit.layers.relu import Relu


class Passage(Layer):
    """The input itself, in the place of a layer that has nothing to do: names count on."""

    type: Literal["passage"] = "passage"

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        return x, lambda dy: (dy, {})


class Sequential(Layer):
    """Layers one after the other: (N, *shape) -> (N, *output_shape(shape)).

    y = f_n(... f_2(f_1(x))); the backward pass is the chain rule, read from the end. Weights are
    a tree with a branch per layer that owns any, named "0_conv", "1_relu" and so on.

    Raises:
        ShapeError: where a layer cannot take its predecessor's output.

    >>> Sequential(layers=["relu", "pool", "flatten"]).output_shape((6, 28, 28))
    (1176,)
    """

    type: Literal["sequential"] = "sequential"
    layers: Annotated[Layers, Field(min_length=1)]
    """The layers, first to last."""
    label: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "sequential"
    """What this chain is called in the names of its weights."""

    @cached_property
    def names(self) -> list[str]:
        """The layers' names in weight trees."""
        return [name_of(layer, i) for i, layer in enumerate(self.layers)]

    @cached_property
    def steps(self) -> list[tuple[str, Layer]]:
        """The layers with their names, in the order in which they run.

        A relu before a max pool runs after it: the same values and gradients, to the bit, from a
        fraction of the work. The largest of a window is cut at zero, instead of each of them; and
        where all are negative, neither order lets a gradient through.
        """
        steps = list(zip(self.names, self.layers, strict=True))
        for i, (one, other) in enumerate(pairwise(self.layers)):
            if isinstance(one, Relu) and isinstance(other, Pool) and other.kind == "max":
                steps[i], steps[i + 1] = steps[i + 1], steps[i]
        return [step for step in steps if not isinstance(step[1], Passage)]

    def output_shape(self, shape: Shape) -> Shape:
        return chain_shapes(self.layers, shape, "layers")[-1]

    def _each(self, shape: Shape) -> Iterator[tuple[str, Layer, Shape]]:
        """Yield each layer's name, the layer, and the shape that goes into it."""
        shapes = chain_shapes(self.layers, shape, "layers")
        return zip(self.names, self.layers, shapes, strict=False)

    def weights(self, shape: Shape) -> WeightTree:
        return {name: layer.weights(before) for name, layer, before in self._each(shape)}

    def lower(self) -> Self:
        return self.changed(layers=[layer.lower() for layer in self.layers])

    def macs(self, shape: Shape) -> int:
        return sum(layer.macs(before) for _, layer, before in self._each(shape))

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        looked_at = ctx.tap is not None and ctx.fuse is None
        steps = zip(self.names, self.layers, strict=True) if looked_at else self.steps
        return forward_chain(steps, x, w, ctx)


def chain(layers: Sequence[Layer]) -> Sequential:
    """Return layers of a container as a chain; there may be none, which is the input itself."""
    return Sequential.model_construct(layers=list(layers), label="sequential")  # not validated


def name_of(layer: Layer, index: int) -> str:
    """Return a layer's part of the names of its weights: its own name, or its number in the chain
    with its type, or the label of a lowered macro."""
    kind = layer.label if isinstance(layer, Sequential) else layer.type
    return layer.name or f"{index}_{kind}"
