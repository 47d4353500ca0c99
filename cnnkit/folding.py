"""Folding: in prediction a batch_norm behind a conv is no more than other weights of the conv."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """A conv and the batch_norm behind it: the way to the chain they are in, and their names."""

    chain: tuple[str, ...]
    conv: str
    norm: str
    eps: float

    def apply(self, tree: Weights) -> Weights:
        """Return the tree with other weights of the conv, and the rest as it is."""
        return _within(tree, self.chain, self._merge)

    def _merge(self, chain: Weights) -> Weights:
        """y = gamma * (W x + b - mean) / sqrt(variance + eps) + beta, as one W and one b."""
        conv, norm = chain[self.conv], chain[self.norm]
        W, b = conv["W"], conv.get("b", np.zeros((), norm["mean"].dtype))
        scale = norm["gamma"] / np.sqrt(norm["variance"] + W.dtype.type(self.eps))
        sides = (-1, *[1] * (b.ndim - 1))  # of a bias per output position
        mean, scale_b, beta = (a.reshape(sides) for a in (norm["mean"], scale, norm["beta"]))
        folded = {"W": W * scale.reshape(-1, 1, 1, 1), "b": (b - mean) * scale_b + beta}
        return {**chain, self.conv: folded}


def _within(tree: Weights, path: Sequence[str], change: Callable[[Weights], Weights]) -> Weights:
    if not path:
        return change(tree)
    return {**tree, path[0]: _within(tree[path[0]], path[1:], change)}


def fold(steps: Steps, shape: Shape) -> tuple[Steps, list[Fold]]:
    """Return the steps without each batch_norm that comes right behind a conv, wherever that is in
    cnnkit's own containers, and what its conv's weights are made of.

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
        before = layers[index - 1] if index else None
        # exactly these: what derives from them may do something else
        if isinstance(before, Conv) and type(before) is Conv and type(layer) is BatchNorm:
            found.append(Fold(path, names[index - 1], name, layer.eps))
            made[-1] = before.changed(bias="untied" if before.bias == "untied" else "tied")
            made.append(Passage())
        else:
            made.append(_inside(layer, shapes[index], (*path, name), found))
    return made


def _inside(layer: Layer, shape: Shape, path: tuple[str, ...], found: list[Fold]) -> Layer:
    """Return a container with folded chains; other layers as they are."""
    if isinstance(layer, Block) and type(built := layer.built(shape)) is Sequential:
        folds = len(found)
        chain = _chain(built.layers, built.names, shape, path, found)
        if len(found) == folds:
            return layer
        return Sequential(layers=chain, label=layer.type, name=layer.name)
    if isinstance(layer, Sequential) and type(layer) is Sequential:
        return layer.changed(layers=_chain(layer.layers, layer.names, shape, path, found))
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
