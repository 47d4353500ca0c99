"""The built-in optimizers, registered through the same hook as anybody else's."""

from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from cnnkit.arrays import Array
from cnnkit.base import Optimizer
from cnnkit.base.optimizer import State
from cnnkit.hookspecs import hookimpl
from cnnkit.kernels.updates import adam, sgd


def flat(array: Array) -> Array:
    """View a C-contiguous array as 1-D.

    Raises:
        ValueError: for other strides, where an update would change a copy and be lost.
    """
    return array.reshape(-1, copy=False)


def zeros(weights: dict[str, Array]) -> dict[str, Array]:
    """Return an array of zeros like each weight."""
    return {path: np.zeros(W.shape, W.dtype) for path, W in weights.items()}


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # TOML has lists only


Beta = Annotated[float, Field(ge=0, lt=1)]


class _Adaptive(Optimizer):
    """What adam and adamw share."""

    elementwise: ClassVar[bool] = True

    lr: Annotated[float, Field(ge=0)] = 1e-3
    """Learning rate: about the size of one weight's step, before the schedule."""
    betas: Annotated[tuple[Beta, Beta], BeforeValidator(_as_tuple)] = (0.9, 0.999)
    """How much of the running mean, and of the running mean square, each step keeps."""
    eps: Annotated[float, Field(ge=1e-30)] = 1e-8  # smaller ones are zero in float32
    """Added to the root mean square, so that a weight without gradient stands still."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Share of a weight, times the learning rate, that each step removes; biases and others that
    are declared so stay as they are."""

    def init_state(self, weights: dict[str, Array]) -> State:
        return {"mean": zeros(weights), "square": zeros(weights)}

    def update(
        self, weights: dict[str, Array], grads: dict[str, Array], state: State, lr: float, step: int
    ) -> None:
        rate = float(lr)  # a 0-d float64 would pull float32 arrays up to float64
        rest = rate, step + 1, *self.betas, self.eps, self.weight_decay
        for path, g in grads.items():
            W, m, v = (flat(tree[path]) for tree in (weights, state["mean"], state["square"]))
            adam(W, g.reshape(-1), m, v, *rest)


class Adam(_Adaptive):
    """Steps along the mean gradient over its root mean square; with weight decay it is AdamW.

    m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g**2;
    W -= lr * weight_decay * W; W -= lr * m^ / (sqrt(v^) + eps), m^ and v^ corrected for their
    start at zero. Weight decay is decoupled: it never enters m and v.

    Source: Kingma and Ba, Adam (2015); Loshchilov and Hutter, Decoupled Weight Decay (2019).

    >>> W = {"W": np.array([1.0])}
    >>> one = Adam(lr=0.1)
    >>> one.update(W, {"W": np.array([5.0])}, one.init_state(W), lr=0.1, step=0)
    >>> W["W"].round(6)
    array([0.9])
    """

    type: Literal["adam"] = "adam"


class AdamW(_Adaptive):
    """Adam with the weight decay that its authors took for images: see adam, of which all else is.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019); the default is
    PyTorch's.

    >>> W = {"W": np.array([1.0])}
    >>> one = AdamW(lr=0.1, weight_decay=0.5)
    >>> one.update(W, {"W": np.array([5.0])}, one.init_state(W), lr=0.1, step=0)
    >>> W["W"].round(6)  # 1 - 0.1 * 0.5 * 1 - 0.1
    array([0.85])
    """

    type: Literal["adamw"] = "adamw"

    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Share of a weight, times the learning rate, that each step removes; biases and others that
    are declared so stay as they are."""


class Sgd(Optimizer):
    """Steps against the gradient, with momentum, Nesterov's look-ahead and L2 weight decay.

    g += weight_decay * W; v = momentum * v + g; W -= lr * v (Nesterov: lr * (g + momentum * v)).
    Weight decay is the classic L2 kind, part of the gradient; see `weight_decay`.

    Source: Sutskever et al., On the Importance of Initialization and Momentum (2013), in the
    form PyTorch uses (the learning rate outside the velocity).
    """

    type: Literal["sgd"] = "sgd"
    elementwise: ClassVar[bool] = True

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the last step's velocity that is kept."""
    nesterov: bool = False
    """Look ahead along the velocity; needs momentum."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """L2 penalty: this times the weights is added to their gradient; biases and others that are
    declared so have none."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov = true has no effect without momentum; set momentum = 0.9")
        return self

    def init_state(self, weights: dict[str, Array]) -> State:
        return {"velocity": zeros(weights)} if self.momentum else {}

    def update(
        self, weights: dict[str, Array], grads: dict[str, Array], state: State, lr: float, step: int
    ) -> None:
        rate = float(lr)  # as in Adam
        rest = rate, self.momentum, self.nesterov, self.weight_decay, step
        for path, g in grads.items():
            v = flat(state["velocity"][path]) if self.momentum else None
            sgd(flat(weights[path]), g.reshape(-1), v, *rest)


@hookimpl
def cnnkit_optimizers() -> list[type[Optimizer]]:
    """Return the optimizers that come with cnnkit."""
    return [Sgd, Adam, AdamW]
