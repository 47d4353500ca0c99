"""The backend: which runs of layers become programs, and which losses and optimizers are faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from cnnkit.base import Backend, Layer, Loss, Optimizer
from cnnkit.base.backend import Steps
from cnnkit_native.library import variant


class Native(Backend):
    """Compiled kernels for the processor at hand, chosen when cnnkit-native is imported.

    Consecutive layers that it knows become one program, up to the whole network; others, and all
    layers in float64, stay NumPy's.
    """

    type: Literal["native"] = "native"

    def fuse(
        self, steps: Sequence[tuple[str, Layer]], dtype: np.dtype[Any], training: bool
    ) -> Steps:
        # imported where it is used: most commands list plugins and compute nothing
        from cnnkit_native.fuse import fused

        return fused(steps) if dtype == np.float32 else steps

    def fuse_loss(self, loss: Loss, dtype: np.dtype[Any]) -> Loss:
        from cnnkit_native.heads import faster_loss

        return faster_loss(loss) if dtype == np.float32 else loss

    def fuse_optimizer(self, optimizer: Optimizer, dtype: np.dtype[Any]) -> Optimizer:
        from cnnkit_native.heads import faster_optimizer

        return faster_optimizer(optimizer) if dtype == np.float32 else optimizer

    def describe(self) -> Mapping[str, str]:
        return {"instruction set": variant()}
