"""Backend: puts fused steps in the place of layers, and computes the same faster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from cnnkit.arrays import Array, Weights
from cnnkit.base.component import Component
from cnnkit.base.context import Context
from cnnkit.base.contract import checked_steps
from cnnkit.base.layer import Backward, Layer
from cnnkit.base.loss import Loss
from cnnkit.base.optimizer import Optimizer


class FusedStep(Protocol):
    """What a backend puts in a chain in place of a run of layers: the pair `("", step)`.

    It keeps a layer's contract (see Layer), with these differences:

    - It owns the weights of all the layers it stands for, under their own names: `w` holds
      `{name: weights}` for those of `names` that have any, and the gradients that backward returns
      are named alike. So paths of weights, checkpoints and optimizers never see a backend.
    - `ctx` is the chain's context, in which `ctx.wants_dx` is what the first of the layers would
      see; `ctx.child(name)` is a layer's, for its random numbers.
    - Several threads use it at once, and nothing kept on it decides a result. What it needs for a
      call it asks of `ctx.scratch`; a plan for a shape may be kept in a dict, as to make it twice
      in a race is harmless.
    - NaN and infinity pass through as in the layers: whoever looks for the first value that is not
      finite runs the layers themselves, and must find it.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers it stands for, as in the chain: ("0_conv", "1_relu")."""

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        """Return `(y, backward)` for `x` of shape (N, *shape); modify neither x nor w."""


Steps = Sequence[tuple[str, Layer | FusedStep]]
"""What a chain runs: layers by name, fused steps under ""."""


class Backend(Component, ABC):
    """Computes what the layers compute, faster: it turns runs of layers into fused steps.

    It is chosen by name, never by being installed, and recorded with the run: rounding may differ
    from backend to backend. On one machine equal input gives equal bits, whatever the threads.
    `cnnkit.testing.check_backend` holds a backend to all this and to FusedStep.

    Whoever looks at single layers (the trial step, the search for a value that is not finite, the
    profile, `Model.activations`) runs them as they are, on NumPy.
    """

    family: ClassVar[str] = "backends"
    processes: ClassVar[bool] = False
    """True where forked processes pay: where Python holds threads up between short calls."""

    @abstractmethod
    def fuse(
        self, steps: Sequence[tuple[str, Layer]], dtype: np.dtype[Any], training: bool
    ) -> Steps:
        """Return the steps to run in place of `steps`; layers it does not know stay as they are.

        Asked once for every chain, those inside containers too, whose layers keep their names. A
        relu before a max pool has been moved behind it, unless a container does not; a backend may
        move them, too. Taking a container as a whole, it owns the weights of all that is inside.

        Args:
            steps: named layers in the order in which they run.
            dtype: of activations and weights, float32 or float64.
            training: False for prediction, where no backward pass follows, and the head is a step;
                in training the loss may have taken it over.
        """

    def fuse_loss(self, loss: Loss, dtype: np.dtype[Any]) -> Loss:
        """Return a faster loss with the same meaning, for the one that training runs: after
        `Loss.fuse`, such as softmax with cross-entropy on logits."""
        return loss

    def fuse_optimizer(self, optimizer: Optimizer, dtype: np.dtype[Any]) -> Optimizer:
        """Return a faster optimizer with the same meaning and the same state; an elementwise one
        is given flat vectors."""
        return optimizer

    def describe(self) -> Mapping[str, str]:
        """Return facts for `cnnkit doctor` and env.json that decide bits: {"instruction set":
        "avx512"}."""
        return {}


_KEPT = 1000
"""Chains that are remembered; a container that makes its steps anew in each call makes many."""


class Fusing:
    """Turns a chain's steps into those of a backend, each chain once: `Context.fuse`."""

    def __init__(self, backend: Backend, dtype: np.dtype[Any], training: bool) -> None:
        self._fuse: Callable[[list[Any]], Steps] = lambda steps: checked_steps(
            backend, steps, backend.fuse(steps, dtype, training)
        )
        # with what an id belongs to, as the id of an object that is gone is given again
        self._seen: dict[int, tuple[Any, Steps]] = {}
        self._fused: dict[Any, tuple[Any, Steps]] = {}

    def __call__(self, steps: Any) -> Steps:
        """Return the steps to run in place of named layers."""
        known = self._seen.get(id(steps))
        return known[1] if known else self._new(steps)

    def _new(self, steps: Any) -> Steps:
        chain = list(steps)
        key = tuple((name, id(layer)) for name, layer in chain)
        if len(self._seen) > _KEPT:
            self._seen.clear()
            self._fused.clear()
        found = self._fused.get(key) or self._fused.setdefault(key, (chain, self._fuse(chain)))
        self._seen[id(steps)] = steps, found[1]
        return found[1]
