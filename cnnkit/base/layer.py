"""Layer: options in the body, state in the weight tree, arithmetic in kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base.component import Component
from cnnkit.base.context import Context

Backward = Callable[[Array], tuple[Array, Weights]]
"""dy -> (dx, gradients shaped like the weights)."""


class Layer(Component, ABC):
    """A pure function of (input, weights), with its derivative.

    By default a layer keeps its shape and owns no weights, so an activation is one method.
    """

    family: ClassVar[str] = "layers"
    buffers: ClassVar[frozenset[str]] = frozenset()
    """Names of weights that get no gradient."""
    couples_batch: ClassVar[bool] = False
    """True where the samples of a batch meet; the engine then hands over whole batches."""
    probabilities: ClassVar[bool] = False
    """True where each output row is a distribution over classes (>= 0, sum 1)."""

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that comes out for `shape` going in; integers only.

        Raises:
            ShapeError: where the layer cannot take `shape`.
        """
        return shape

    def init_weights(self, shape: Shape, rng: np.random.Generator) -> Weights:
        """Draw the initial weights for inputs of `shape`; any float dtype, the model casts."""
        return {}

    def lower(self) -> Layer:
        """Return what the engine runs: macros return the layers they stand for."""
        return self

    def macs(self, shape: Shape) -> int:
        """Return multiply-accumulates per sample for inputs of `shape` (0: negligible)."""
        return 0

    def weight_count(self, shape: Shape) -> int:
        """Return how many numbers `init_weights` would draw, so that a spec can be judged before
        anything is allocated; 0 where that is next to nothing."""
        return 0

    @abstractmethod
    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        """Return `(y, backward)` for `x` of shape (N, *shape); modify neither x nor w."""
