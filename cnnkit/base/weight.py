"""Weight: what a layer says of an array before it exists, and what follows from that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, prod

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base.contract import checked_draw
from cnnkit.base.initializer import Fans, Initializer
from cnnkit.errors import PluginError


@dataclass(frozen=True, slots=True)
class Weight:
    """An array that a layer asks for.

    Args:
        shape: its shape; plain ints.
        init: draws its first values, or the number that they all are.
        fans: what the initializer may know of it. By default it is taken for a matrix of
            (inputs, outputs) or, with more axes, for kernels of (filters, channels, ...).
        learns: False where no gradient comes for it: it is kept and saved, and never moved.
        decays: False where weight decay should leave it alone, as biases.
        lr_scale: what the learning rate is multiplied by for it.
        weight_decay: stands in for the optimizer's, if it is not None.
    """

    shape: Shape
    init: Initializer | float
    fans: Fans | None = None
    learns: bool = True
    decays: bool = True
    lr_scale: float = 1.0
    weight_decay: float | None = None

    def draw(self, rng: np.random.Generator) -> Array:
        """Return its first values.

        Raises:
            ContractError: where the initializer gives no finite floats of the shape.
        """
        if not isinstance(self.init, Initializer):
            return np.full(self.shape, float(self.init))
        drawn = self.init.draw(self.shape, self.fans or _fans(self.shape), rng)
        return checked_draw(self.init, drawn, self.shape)


WeightTree = Mapping[str, "Weight | WeightTree"]
"""Weights by name; those of a container by the names of the layers inside, in their order."""


def declared(tree: WeightTree, path: str = "") -> dict[str, Weight]:
    """Return `{"2_residual/0_conv/W": weight}` for what `Layer.weights` returned, which may be
    anybody's: everything in it is checked here.

    Raises:
        PluginError: naming the first that is not as it should be.
    """
    if not isinstance(tree, Mapping):
        raise _fault(path, f"is declared as {tree!r}", "a Weight, or a mapping of them")
    flat: dict[str, Weight] = {}
    for name, entry in tree.items():
        is_legal = isinstance(name, str) and re.fullmatch(r"\w*", name)
        if not is_legal or (isinstance(entry, Weight) and not name):
            raise _fault(path, f"holds the name {name!r}", "letters, digits and _")
        here = "/".join(filter(None, (path, name)))
        if isinstance(entry, Weight):
            _check(here, entry)
            flat[here] = entry
        else:
            flat |= declared(entry, here)
    return flat


def _check(path: str, weight: Weight) -> None:
    shape, init = weight.shape, weight.init
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise _fault(path, f"has the shape {shape!r}", "a tuple of ints >= 0")
    is_number = isinstance(init, int | float | np.number) and isfinite(init)
    if not is_number and not isinstance(init, Initializer):
        raise _fault(path, f"starts from {init!r}", "an initializer or a finite number")


def _fault(path: str, fault: str, expected: str) -> PluginError:
    return PluginError(f"weight {path or 'tree'} {fault}; expected {expected}")


def count(tree: WeightTree) -> int:
    """Return how many numbers the weights hold."""
    return sum(prod(weight.shape) for weight in declared(tree).values())


def draw(tree: WeightTree, rng: np.random.Generator, dtype: npt.DTypeLike) -> Weights:
    """Return the arrays that `tree` declares; layers without any are left out.

    A layer's own weights come from `rng`, in their order; each layer inside has a generator of
    its own, spawned in order. A branch under the name "" lies among its parent's weights.
    """
    branches = [entry for entry in tree.values() if not isinstance(entry, Weight)]
    generators = iter(rng.spawn(len(branches)))
    drawn: Weights = {}
    for name, entry in tree.items():
        if isinstance(entry, Weight):
            drawn[name] = np.array(entry.draw(rng), dtype, order="C")
        elif branch := draw(entry, next(generators), dtype):
            drawn |= {name: branch} if name else branch
    return drawn


def _fans(shape: Shape) -> Fans:
    """Return the fans of an array that nothing else is known of; a vector's are its length."""
    shape = tuple(max(1, n) for n in shape)
    if len(shape) > 2:
        area = prod(shape[2:])
        return Fans(shape[1] * area, shape[0] * area, area)
    inputs, outputs = shape if len(shape) == 2 else (prod(shape), prod(shape))
    return Fans(inputs, outputs, inputs)
