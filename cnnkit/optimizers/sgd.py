"""SGD: stochastic gradient descent."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cnnkit.arrays import Array
from cnnkit.base import Optimizer
from cnnkit.base.optimizer import State
from cnnkit.kernels.sgd import sgd
from cnnkit.optimizers._flat import flat


class Sgd(Optimizer):
    """Steps against the gradient, with momentum, Nesterov's look-ahead and L2 weight decay.

    g += weight_decay * W; v = momentum * v + g; W -= lr * v (Nesterov: lr * (g + momentum * v)).
    Weight decay is the classic L2 kind, part of the gradient, and applies to every weight.

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
    """L2 penalty: this times the weights is added to their gradient."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov = true has no effect without momentum; set momentum = 0.9")
        return self

    def init_state(self, weights: dict[str, Array]) -> State:
        if self.momentum == 0:
            return {}
        return {"velocity": {path: np.zeros(W.shape, W.dtype) for path, W in weights.items()}}

    def update(
        self, weights: dict[str, Array], grads: dict[str, Array], state: State, lr: float, step: int
    ) -> None:
        velocity = state.get("velocity", {})
        for path, g in grads.items():
            v = flat(velocity[path]) if self.momentum else None
            sgd(
                flat(weights[path]),
                g.reshape(-1),
                v,
                float(lr),  # a 0-d float64 would pull float32 arrays up to float64
                self.momentum,
                self.nesterov,
                self.weight_decay,
            )
