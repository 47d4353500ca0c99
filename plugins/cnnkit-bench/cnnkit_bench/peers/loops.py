"""The textbook: one image at a time, Python loops over the positions of every map."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from cnnkit.arrays import Array

from cnnkit_bench.case import Case
from cnnkit_bench.errors import CannotExpressError
from cnnkit_bench.network import walk
from cnnkit_bench.peers.base import Peer
from cnnkit_bench.peers.head import split_head
from cnnkit_bench.peers.loops_ops import LoopOps


class Loops(Peer):
    """Plain NumPy, batch 1, SGD. Slow on purpose: it is what a network costs without thought."""

    batches: ClassVar[tuple[int, ...] | None] = (1,)

    def version(self) -> str:
        return f"loops, numpy {np.__version__}"

    def __init__(self, case: Case, threads: int) -> None:
        super().__init__(case, threads)
        self._weights: dict[str, Array] = {}
        self._velocity: dict[str, Array] = {}
        self._lr = 0.0

    def start(self, lr: float) -> None:
        option = self.case.optimizer_option
        if self.mode == "training":
            split_head(self.case)
            if option("type") != "sgd" or option("weight_decay"):
                raise CannotExpressError("other optimizers than sgd without weight decay")
        self._weights = {path: w.copy() for path, w in self.case.weights.items()}
        self._velocity = {path: np.zeros_like(w) for path, w in self._weights.items()}
        self._lr = lr

    def step(self, rows: slice) -> None:
        for x, label in zip(self.case.inputs[rows], self.case.labels[rows], strict=True):
            if self.mode == "inference":
                walk(LoopOps(self._weights), self.case.ops, x)
            else:
                self._train(x, label)

    def _train(self, x: Array, label: Any) -> None:
        """Go down the slope of the loss before the head: prediction less truth."""
        body, head = split_head(self.case)
        table = LoopOps(self._weights)
        y = getattr(table, head)(walk(table, body, x), self.case.ops[-1])
        table.tape.pop()
        truth = np.eye(len(y), dtype=y.dtype)[label] if head == "softmax" else label
        table.backward((y - truth).astype(y.dtype))
        momentum, ahead = map(self.case.optimizer_option, ("momentum", "nesterov"))
        for path, gradient in table.gradients.items():
            v = self._velocity[path] = momentum * self._velocity[path] + gradient
            self._weights[path] -= self._lr * (gradient + momentum * v if ahead else v)

    def outputs(self, count: int) -> Array:
        x = self.case.inputs[:count]
        return np.stack([walk(LoopOps(self._weights), self.case.ops, image) for image in x])
