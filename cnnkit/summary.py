"""The layer table: what each layer of a network gives, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from operator import mul
from typing import Any, NamedTuple

from cnnkit.arrays import Shape, size
from cnnkit.base import Layer, chain_shapes, show
from cnnkit.base.component import chains
from cnnkit.base.layer import Block
from cnnkit.base.place import place_of
from cnnkit.base.weight import count
from cnnkit.layers.sequential import Sequential, name_of
from cnnkit.tables import html_table, text_table


class Field(NamedTuple):
    """The receptive field of a value in a map, and the pixels from one value to the next.

    Source: Araujo, Norris, Sim, Computing Receptive Fields of Convolutional Neural Networks (2019).
    """

    sides: tuple[int, ...]
    steps: tuple[int, ...]
    image: tuple[int, ...]

    @classmethod
    def of_image(cls, shape: Shape) -> Field:
        """Return that of a pixel; of no sides where the input is no image."""
        image = shape[1:] if len(shape) == 3 else ()
        return cls((1,) * len(image), (1,) * len(image), image)

    def behind(self, layer: Layer, shape: Shape) -> Field:
        """Return that of a value behind a layer which takes maps of `shape`."""
        if isinstance(layer, Block):
            return self.behind(layer.built(shape), shape)
        if inner := list(chains(layer)):
            ends = [self._through(chain.layers, shape) for chain in inner]
            return Field(*(tuple(map(max, *axes, axes[0])) for axes in zip(*ends, strict=True)))
        window = getattr(layer, "kernel", getattr(layer, "size", None))
        if len(shape) == 3 and isinstance(window, tuple):
            return self._slid(window, getattr(layer, "stride", None), getattr(layer, "dilation", 1))
        flattens = len(layer.output_shape(shape)) < len(shape) and layer.type != "flatten"
        whole = flattens or getattr(layer, "units", None)
        if not whole and not layer.sees_all(shape):
            return self
        sides = tuple(map(max, self.sides, self.image))  # with the padding that was seen before
        return Field(sides, self.image if whole else self.steps, self.image)

    def _through(self, layers: Sequence[Layer], shape: Shape) -> Field:
        field = self
        for layer, before in zip(layers, chain_shapes(layers, shape, "layers"), strict=False):
            field = field.behind(layer, before)
        return field

    def _slid(self, window: tuple[int, ...], stride: Any, dilation: Any) -> Field:
        gaps = dilation if isinstance(dilation, tuple) else (1, 1)
        reach = (g * (k - 1) for g, k in zip(gaps, window, strict=True))
        sides = tuple(
            s + r * step for s, r, step in zip(self.sides, reach, self.steps, strict=True)
        )
        steps = tuple(map(mul, self.steps, stride or window))
        return Field(sides, steps, self.image)


@dataclass(frozen=True, slots=True)
class Row:
    """One layer, figures per image.

    Args:
        path: the way to it, "2_residual/0_conv".
        depth: how many containers are around it.
        layer: as the spec has it.
        shape: of its output.
        bytes: what its output takes.
        memory: the same with the outputs of the layers inside it.
        field: what of the image a value depends on, (down, across), padding included; () where the
            input is no image. Means over the batch, which batch_norm takes, do not count.
        given: shape of its input.
    """

    path: str
    depth: int
    layer: Layer
    shape: Shape
    weights: int
    macs: int
    bytes: int
    memory: int
    field: tuple[int, ...] = ()
    given: Shape = ()

    @property
    def place(self) -> str:
        """Where it stands, as people count: "3.1" is the first layer inside the third."""
        return place_of(self.path)[0]


def layer_rows(
    layers: Sequence[Layer],
    shape: Shape,
    itemsize: int,
    path: str = "",
    depth: int = 0,
    field: Field | None = None,
) -> Iterator[Row]:
    """Yield a row per layer, a container before the layers inside it.

    Args:
        layers: a chain that takes images of `shape`.
        itemsize: bytes of one number.
        field: of what the chain takes; by default, of an image.
    """
    field = field or Field.of_image(shape)
    shapes = chain_shapes(layers, shape, "layers")
    for index, layer in enumerate(layers):
        before, after = shapes[index : index + 2]
        here = f"{path}{name_of(layer, index)}"
        inside: list[Row] = []
        for chain in chains(layer):
            inner = f"{here}/{chain.name}/" if chain.name else f"{here}/"
            inside += layer_rows(chain.layers, before, itemsize, inner, depth + 1, field)
        weights, macs = count(layer.weights(before)), layer.macs(before)
        own = itemsize * prod(after)
        memory = sum(row.memory for row in inside if row.depth == depth + 1)
        memory += own * (not isinstance(layer, Sequential))  # whose output is its last layer's
        field = field.behind(layer, before)
        yield Row(here, depth, layer, after, weights, macs, own, memory, field.sides, before)
        yield from inside


class Summary(tuple[Row, ...]):
    """A row per layer; a prompt and a notebook show them as a table, with the sums below."""

    _HEAD = ("layer", "type", "shape", "weights", "MACs", "memory")

    def _lines(self) -> list[tuple[str, ...]]:
        cells = [(row.place, row.layer.type, show(row.shape), f"{row.weights:,}", f"{row.macs:,}",
                  size(row.memory)) for row in self]  # fmt: skip
        weights, macs, memory = (
            sum(n) for n in zip(*((r.weights, r.macs, r.memory) for r in self), strict=True)
        )
        return [*cells, ("all", "", "", f"{weights:,}", f"{macs:,}", size(memory))]

    def __repr__(self) -> str:
        return text_table(self._HEAD, self._lines(), right={3, 4, 5})

    def _repr_html_(self) -> str:
        return html_table(self._HEAD, self._lines(), right={3, 4, 5})
