"""PyTorch: eager, compiled, and with channels last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from cnnkit.arrays import Array
from torch.nn import functional

from cnnkit_bench.case import Case
from cnnkit_bench.errors import CannotExpressError
from cnnkit_bench.network import walk
from cnnkit_bench.peers.base import Peer
from cnnkit_bench.peers.head import split_head
from cnnkit_bench.peers.torch_ops import TorchOps


class Torch(Peer):
    """Eager PyTorch: functional layers, autograd, the optimizer's fused form."""

    layout: ClassVar[Any] = torch.contiguous_format

    def __init__(self, case: Case, threads: int) -> None:
        super().__init__(case, threads)
        torch.set_num_threads(threads)
        self._weights = {path: self._parameter(path) for path in case.weights}
        self._x = torch.from_numpy(case.inputs).to(memory_format=self.layout)
        self._labels = torch.from_numpy(case.labels)
        self._loss = self.compile(self._mean_loss)
        self._network = self.compile(self._forward)

    def version(self) -> str:
        return f"torch {torch.__version__}"

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return what runs in place of `function`."""
        return function

    def _initial(self, path: str) -> Any:
        """Return a weight's initial value; PyTorch keeps a dense layer's W as (units, inputs)."""
        w = self.case.weights[path]
        return torch.from_numpy(w.T.copy() if w.ndim == 2 else w.copy())

    def _parameter(self, path: str) -> Any:
        w = self._initial(path)
        w = w.to(memory_format=self.layout) if w.ndim == 4 else w
        return w.requires_grad_(path not in self.case.fixed)

    def _forward(self, weights: dict[str, Any], x: Any) -> Any:
        return walk(TorchOps(weights), self.case.ops, x)

    def _mean_loss(self, weights: dict[str, Any], x: Any, labels: Any) -> Any:
        body, head = split_head(self.case)
        z = walk(TorchOps(weights, training=True, drops=not self.still), body, x)
        if head == "softmax":
            return functional.cross_entropy(z, labels)
        return functional.binary_cross_entropy_with_logits(z[:, 0], labels.to(z.dtype))

    def start(self, lr: float) -> None:
        with torch.no_grad():
            for path, w in self._weights.items():
                w.copy_(self._initial(path))
        if self.mode == "training":
            split_head(self.case)
            self._optimizer = self._make_optimizer(lr)

    def _make_optimizer(self, lr: float) -> Any:
        option = self.case.optimizer_option
        learning = [(path, w) for path, w in self._weights.items() if w.requires_grad]
        decays = [w for path, w in learning if self.case.decays(path)]
        others = [w for path, w in learning if not self.case.decays(path)]
        decay = option("weight_decay")
        weights = [{"params": decays}, {"params": others, "weight_decay": 0.0}]
        if not decay:
            weights = [{"params": [w for _, w in learning]}]
        match option("type"):
            case "sgd":
                momentum, nesterov = option("momentum"), bool(option("nesterov"))
                return torch.optim.SGD(
                    weights, lr, momentum, weight_decay=decay, nesterov=nesterov, fused=True
                )
            case "adam" | "adamw":
                betas, eps = tuple(option("betas")), option("eps")
                return torch.optim.AdamW(weights, lr, betas, eps, decay, fused=True)
        raise CannotExpressError(f"optimizer {option('type')}")

    def step(self, rows: slice) -> None:
        if self.mode == "inference":
            with torch.inference_mode():
                self._network(self._weights, self._x[rows])
            return
        self._optimizer.zero_grad(set_to_none=True)
        self._loss(self._weights, self._x[rows], self._labels[rows]).backward()
        self._optimizer.step()

    def outputs(self, count: int) -> Array:
        with torch.inference_mode():
            y: Array = self._network(self._weights, self._x[:count]).numpy()
        return y


class TorchCompiled(Torch):
    """`torch.compile` over forward pass and loss; the backward pass is compiled with it."""

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        compiled: Callable[..., Any] = torch.compile(function, dynamic=False)
        return compiled

    def version(self) -> str:
        return f"torch {torch.__version__} compiled"


class TorchChannelsLast(Torch):
    """Eager PyTorch with images and kernels in channels-last memory format."""

    layout = torch.channels_last
