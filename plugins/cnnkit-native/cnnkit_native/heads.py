"""Losses and optimizers that read each of their numbers once."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_void_p
from typing import Any, ClassVar

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Loss, Optimizer
from cnnkit.base.optimizer import State
from cnnkit.losses import _SoftmaxCrossEntropy
from cnnkit.optimizers import Adam, Sgd
from cnnkit_native.library import LIB, NativeError, address


def faster_loss(loss: Loss) -> Loss:
    """Return the compiled form of a loss in float32, or the loss itself."""
    if type(loss) is _SoftmaxCrossEntropy:
        return NativeCrossEntropy(label_smoothing=loss.label_smoothing, weights=loss.weights)
    return loss


def faster_optimizer(optimizer: Optimizer) -> Optimizer:
    """Return the compiled form of an optimizer in float32, or the optimizer itself."""
    options = {name: getattr(optimizer, name) for name in type(optimizer).model_fields}
    if type(optimizer) is Sgd:
        return NativeSgd(**options)
    return NativeAdam(**options) if type(optimizer) is Adam else optimizer


class NativeCrossEntropy(_SoftmaxCrossEntropy):
    """Softmax and cross-entropy in one; y (N, K) are logits, finite however large."""

    def forward(self, y: Array, labels: Array) -> tuple[Array, Callable[[], Array]]:
        if y.dtype != np.float32 or labels.ndim == 2 or self.weights is not None:
            return super().forward(y, labels)
        y, labels = np.ascontiguousarray(y), np.ascontiguousarray(labels, np.int64)
        (n, K), losses, dy = y.shape, np.empty(len(y), np.float32), np.empty(y.shape, np.float32)
        if labels.shape != (n,):
            raise NativeError(f"{n} rows need as many labels, not {labels.shape}")
        spans = address(y), address(labels), self.label_smoothing, address(losses), address(dy)
        if LIB.cnnkit_cross_entropy(n, K, *spans):
            raise IndexError(f"a label is not one of {K} classes")
        return losses, lambda: dy


Grads = dict[str, Array] | dict[str, list[Array]]


class NativeSgd(Sgd):
    """Sgd, each number of weights, gradients and velocity read once."""

    adds: ClassVar[bool] = True
    at_a_time: ClassVar[int] = 2**18  # a call costs as much as 10,000 numbers

    def update(
        self, weights: dict[str, Array], grads: Grads, state: State, lr: float, step: int
    ) -> None:
        rest = lr, self.momentum, self.weight_decay, self.nesterov
        for path, g in grads.items():
            moved = [weights[path], *([state["velocity"][path]] if self.momentum else [])]
            parts, spans = _spans(g, *moved)
            LIB.cnnkit_sgd(*parts, *spans, *[None] * (2 - len(spans)), *rest)


class NativeAdam(Adam):
    """Adam, each number of weights, gradients and state read once."""

    adds: ClassVar[bool] = True
    at_a_time: ClassVar[int] = 2**18

    def update(
        self, weights: dict[str, Array], grads: Grads, state: State, lr: float, step: int
    ) -> None:
        beta1, beta2 = self.betas
        root = float(np.sqrt(1 - beta2 ** (step + 1)))
        rate = float(lr) * root / (1 - beta1 ** (step + 1))
        rest = rate, beta1, beta2, self.eps * root, 1 - float(lr) * self.weight_decay
        for path, g in grads.items():
            parts, spans = _spans(g, weights[path], state["mean"][path], state["square"][path])
            LIB.cnnkit_adam(*parts, *spans, *rest)


_FLOAT = np.dtype(np.float32)


def _spans(given: Array | list[Array], *moved: Array) -> tuple[tuple[int, int, Any], list[int]]:
    """Return how many numbers there are, how many gradients, and where these are; and where the
    arrays that they move are.

    Raises:
        NativeError: where they are no lines of float32 of one length: the library sees addresses
            only.
    """
    grads = given if isinstance(given, list) else [given]
    size = moved[0].size
    for array in (*grads, *moved):
        if array.size != size or array.dtype != _FLOAT or not array.flags.c_contiguous:
            raise NativeError("weights, gradient and state are not float32 of one size")
    places = (c_void_p * len(grads))(*map(address, grads))
    return (size, len(grads), places), [address(array) for array in moved]
