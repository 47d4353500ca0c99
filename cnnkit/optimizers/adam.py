"""Adam: a step size of its own for every weight."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from cnnkit.arrays import Array
from cnnkit.base import Optimizer
from cnnkit.base.optimizer import State
from cnnkit.kernels.adam import adam
from cnnkit.optimizers._flat import flat


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # TOML has lists only


Beta = Annotated[float, Field(ge=0, lt=1)]


class Adam(Optimizer):
    """Steps along the mean gradient over its root mean square; with weight decay it is AdamW.

    m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g**2;
    W -= lr * weight_decay * W; W -= lr * m^ / (sqrt(v^) + eps), m^ and v^ corrected for their
    start at zero. Weight decay is decoupled: it never enters m and v.

    Source: Kingma and Ba, Adam (2015); Loshchilov and Hutter, Decoupled Weight Decay (2019).
    """

    type: Literal["adam"] = "adam"
    elementwise: ClassVar[bool] = True

    lr: Annotated[float, Field(ge=0)] = 1e-3
    """Learning rate: about the size of one weight's step, before the schedule."""
    betas: Annotated[tuple[Beta, Beta], BeforeValidator(_as_tuple)] = (0.9, 0.999)
    """How much of the running mean, and of the running mean square, each step keeps."""
    eps: Annotated[float, Field(ge=1e-30)] = 1e-8  # smaller ones are zero in float32
    """Added to the root mean square, so that a weight without gradient stands still."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Share of every weight, times the learning rate, that each step removes."""

    def init_state(self, weights: dict[str, Array]) -> State:
        return {
            slot: {path: np.zeros(W.shape, W.dtype) for path, W in weights.items()}
            for slot in ("mean", "square")
        }

    def update(
        self, weights: dict[str, Array], grads: dict[str, Array], state: State, lr: float, step: int
    ) -> None:
        for path, g in grads.items():
            adam(
                flat(weights[path]),
                g.reshape(-1),
                flat(state["mean"][path]),
                flat(state["square"][path]),
                float(lr),  # a 0-d float64 would pull float32 arrays up to float64
                step + 1,
                *self.betas,
                self.eps,
                self.weight_decay,
            )
