"""Folding: in prediction a batch_norm behind a conv is no more than other weights of the conv."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import getitem
from typing import NamedTuple

import numpy as np

from cnnkit.arrays import Shape, Weights
from cnnkit.base import Block, Layer, chain_shapes
from cnnkit.layers.batch_norm import BatchNorm
from cnnkit.layers.conv import Conv
from cnnkit.layers.parallel import Parallel
from cnnkit.layers.residual import Residual
from cnnkit.layers.sequential import Passage, Sequential

Steps = Sequence[tuple[str, Layer]]


class Fold(NamedTuple):
    """A conv and the batch_norm behind it: the ways to them in the weight tree."""

    conv: tuple[str, ...]
    norm: tuple[str, ...]
    eps: float

    def apply(self, tree: Weights) -> Weights:
        """Return the tree with other weights of the conv, and the rest as it is:
        y = gamma * (W x + b - mean) / sqrt(variance + eps) + beta, as one W and one b."""
        norm = reduce(getitem, self.norm, tree)

        def merge(conv: Weights) -> Weights:
            W, b = conv["W"], conv.get("b", np.zeros((), norm["mean"].dtype))
            scale = norm["gamma"] / np.sqrt(norm["variance"] + W.dtype.type(self.eps))
            sides = (-1, *[1] * (b.ndim - 1))  # of a bias per output position
            mean, scale_b, beta = (a.reshape(sides) for a in (norm["mean"], scale, norm["beta"]))
            return {"W": W * scale.reshape(-1, 1, 1, 1), "b": (b - mean) * scale_b + beta}

        return _within(tree, self.conv, merge)


def _within(tree: Weights, path: Sequence[str], change: Callable[[Weights], Weights]) -> Weights:
    if not path:
        return change(tree)
    return {**tree, path[0]: _within(tree[path[0]], path[1:], change)}


def fold(steps: Steps, shape: Shape) -> tuple[Steps, list[Fold]]:
    """Return the steps without each batch_norm that comes right behind a conv, or behind what ends
    with one, wherever that is in cnnkit's own containers, and what its conv's weights are made of.

    The names of all other layers stay.

    Args:
        steps: named layers, as they run.
        shape: of one image at the first of them.
    """
    found: list[Fold] = []
    names, layers = [name for name, _ in steps], [layer for _, layer in steps]
    made = _chain(layers, names, shape, (), found)
    left = tuple(step for step in zip(names, made, strict=True) if type(step[1]) is not Passage)
    return (left, found) if found else (steps, [])


def merged(tree: Weights, folds: Sequence[Fold]) -> Weights:
    """Return the weights that folded steps run on; the tree itself stays as it is."""
    for one in folds:
        tree = one.apply(tree)
    return tree


def _chain(
    layers: Sequence[Layer],
    names: Sequence[str],
    shape: Shape,
    path: tuple[str, ...],
    found: list[Fold],
) -> list[Layer]:
    made: list[Layer] = []
    shapes = chain_shapes(layers, shape, "layers")
    for index, (layer, name) in enumerate(zip(layers, names, strict=True)):
        # exactly this: what derives from it may do something else
        if made and type(layer) is BatchNorm:
            biased = _biased(made[-1], shapes[index - 1], (*path, names[index - 1]))
            if biased is not None:
                made[-1], conv = biased
                found.append(Fold(conv, (*path, name), layer.eps))
                made.append(Passage())
                continue
        made.append(_inside(layer, shapes[index], (*path, name), found))
    return made


def _biased(
    layer: Layer, shape: Shape, path: tuple[str, ...]
) -> tuple[Layer, tuple[str, ...]] | None:
    """Return the layer with a bias of the conv that it is or ends with, and the way to that; None
    where it ends with something else."""
    if type(layer) is Conv:
        return layer.changed(bias="untied" if layer.bias == "untied" else "tied"), path
    chain = _chain_of(layer, shape)
    if chain is None:
        return None
    *rest, last = chain.layers
    before = chain_shapes(rest, shape, "layers")[-1]
    biased = _biased(last, before, (*path, chain.names[-1]))
    if biased is None:
        return None
    return _in_place_of(layer, [*rest, biased[0]]), biased[1]


def _chain_of(layer: Layer, shape: Shape) -> Sequential | None:
    """Return the chain that a layer is, or stands for and runs as it is; None of others."""
    if isinstance(layer, Block):
        built = layer.built(shape)
        if type(layer).forward is not Block.forward or type(built) is not Sequential:
            return None
        # of a class that was never registered the type may be no name for a chain
        return built if layer.type.islower() and layer.type.isidentifier() else None
    return layer if type(layer) is Sequential else None


def _in_place_of(layer: Layer, made: Sequence[Layer]) -> Layer:
    """Return a chain that bears the layer's name."""
    label = layer.label if isinstance(layer, Sequential) else layer.type
    return Sequential(layers=made, label=label, name=layer.name)


def _inside(layer: Layer, shape: Shape, path: tuple[str, ...], found: list[Fold]) -> Layer:
    """Return a container with folded chains; other layers as they are."""
    if (chain := _chain_of(layer, shape)) is not None:
        folds = len(found)
        made = _chain(chain.layers, chain.names, shape, path, found)
        return layer if len(found) == folds else _in_place_of(layer, made)
    if isinstance(layer, Residual) and type(layer) is Residual:
        names = [Sequential(layers=c).names if c else [] for c in (layer.body, layer.shortcut)]
        body = _chain(layer.body, names[0], shape, path, found)
        around = _chain(layer.shortcut, names[1], shape, (*path, "shortcut"), found)
        return layer.changed(body=body, shortcut=around)
    if isinstance(layer, Parallel) and type(layer) is Parallel:
        branches = [
            _chain(b, Sequential(layers=b).names if b else [], shape, (*path, f"{i}_branch"), found)
            for i, b in enumerate(layer.branches)
        ]
        return layer.changed(branches=branches)
    return layer
