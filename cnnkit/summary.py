"""The layer table: what each layer of a network gives, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import prod

from cnnkit.arrays import Shape, size
from cnnkit.base import Layer, chain_shapes, show
from cnnkit.base.component import chains
from cnnkit.base.place import place_of
from cnnkit.base.weight import count
from cnnkit.layers.sequential import Sequential, name_of


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
    """

    path: str
    depth: int
    layer: Layer
    shape: Shape
    weights: int
    macs: int
    bytes: int
    memory: int

    @property
    def place(self) -> str:
        """Where it stands, as people count: "3.1" is the first layer inside the third."""
        return place_of(self.path)[0]


def layer_rows(
    layers: Sequence[Layer], shape: Shape, itemsize: int, path: str = "", depth: int = 0
) -> Iterator[Row]:
    """Yield a row per layer, a container before the layers inside it.

    Args:
        layers: a chain that takes images of `shape`.
        itemsize: bytes of one number.
    """
    shapes = chain_shapes(layers, shape, "layers")
    for index, layer in enumerate(layers):
        before, after = shapes[index : index + 2]
        here = f"{path}{name_of(layer, index)}"
        inside = [
            row
            for chain in chains(layer)
            for row in layer_rows(
                chain.layers,
                before,
                itemsize,
                f"{here}/{chain.name}/" if chain.name else f"{here}/",
                depth + 1,
            )
        ]
        weights, macs, own = (
            count(layer.weights(before)),
            layer.macs(before),
            itemsize * prod(after),
        )
        memory = sum(row.memory for row in inside if row.depth == depth + 1)
        memory += own * (not isinstance(layer, Sequential))  # whose output is its last layer's
        yield Row(here, depth, layer, after, weights, macs, own, memory)
        yield from inside


def table_html(rows: Sequence[Row]) -> str:
    """Return the table as HTML, for notebooks."""
    head = ("layer", "type", "shape", "weights", "MACs", "memory")
    cells = [(row.place, row.layer.type, show(row.shape), f"{row.weights:,}", f"{row.macs:,}",
              size(row.memory)) for row in rows]  # fmt: skip
    weights, macs, memory = (sum(n) for n in zip(*((r.weights, r.macs, r.memory) for r in rows),
                                                 strict=True))  # fmt: skip
    total = ("all", "", "", f"{weights:,}", f"{macs:,}", size(memory))
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in line) for line in (*cells, total)]
    top = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
