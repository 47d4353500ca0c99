"""Loss: compares the network's output with the labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

from cnnkit.arrays import Array, Shape
from cnnkit.base.component import Component
from cnnkit.base.layer import Layer


class Loss(Component, ABC):
    """One number per sample; the engine averages over the batch."""

    family: ClassVar[str] = "losses"
    soft: ClassVar[bool] = False
    """True where `forward` takes targets (N, classes), too, as transforms that mix images make."""

    def check(self, head: Layer, shape: Shape, classes: int) -> None:
        """Refuse a head (the last layer, with output `shape`) that this loss cannot judge.

        Raises:
            ShapeError: saying what was expected.
        """
        return

    def fit(self, labels: Array, classes: int) -> Self:
        """Return the loss with what it takes from the training labels filled in as options; itself
        where nothing is left to fill in. The run's resolved.toml holds the answer."""
        return self

    @abstractmethod
    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        """Return the losses, shape (N,), and a function giving d(sum of losses)/dy, a new array.

        Args:
            y: the network's output, (N, K).
            labels: class indices, (N,) integers; or, where the loss is `soft`, targets (N, classes)
                in the dtype of `y`, the share of each class.
        """

    def fuse(self, head: Layer) -> Loss | None:
        """Return a loss on the head's input that replaces head + loss, or None.

        Fused and unfused agree; the fused form is the one that stays finite.
        """
        return None
