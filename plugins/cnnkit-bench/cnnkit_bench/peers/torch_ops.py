"""The operations in PyTorch's functional form, on tensors (N, C, H, W)."""

from __future__ import annotations

from typing import Any

from torch.nn import functional

from cnnkit_bench.network import Op, walk


class TorchOps:
    """Each method takes a tensor and an operation.

    Args:
        weights: parameters by path, and running means and variances, which training moves.
        training: whether a batch_norm takes the batch's own mean and variance.
        drops: whether a dropout does.
    """

    def __init__(
        self, weights: dict[str, Any], training: bool = False, drops: bool = False
    ) -> None:
        self.weights, self._training, self._drops = weights, training, drops

    def conv(self, x: Any, op: Op) -> Any:
        (top, bottom), (left, right) = op.options["padding"]
        amount = (top, left)
        if (top, left) != (bottom, right):  # conv2d pads both sides alike
            x, amount = functional.pad(x, (left, right, top, bottom)), (0, 0)
        bias = self.weights[f"{op.name}/b"] if op.options["bias"] else None
        stride, dilation = tuple(op.options["stride"]), tuple(op.options["dilation"])
        W = self.weights[f"{op.name}/W"]
        return functional.conv2d(x, W, bias, stride, amount, dilation, op.options["groups"])

    def untied_bias(self, x: Any, op: Op) -> Any:
        return x + self.weights[f"{op.name}/b"]

    def batch_norm(self, x: Any, op: Op) -> Any:
        names = ("mean", "variance", "gamma", "beta")
        mean, variance, gamma, beta = (self.weights[f"{op.name}/{name}"] for name in names)
        momentum, eps = op.options["momentum"], op.options["eps"]
        return functional.batch_norm(x, mean, variance, gamma, beta, self._training, momentum, eps)

    def dropout(self, x: Any, op: Op) -> Any:
        return functional.dropout(x, op.options["rate"], self._drops)

    def global_mean_pool(self, x: Any, op: Op) -> Any:
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)

    def global_max_pool(self, x: Any, op: Op) -> Any:
        return functional.adaptive_max_pool2d(x, 1).flatten(1)

    def relu(self, x: Any, op: Op) -> Any:
        return functional.relu(x)

    def max_pool(self, x: Any, op: Op) -> Any:
        return functional.max_pool2d(x, tuple(op.options["size"]), tuple(op.options["stride"]))

    def min_pool(self, x: Any, op: Op) -> Any:
        return -self.max_pool(-x, op)

    def mean_pool(self, x: Any, op: Op) -> Any:
        return functional.avg_pool2d(x, tuple(op.options["size"]), tuple(op.options["stride"]))

    def dense(self, x: Any, op: Op) -> Any:
        bias = self.weights[f"{op.name}/b"] if op.options["bias"] else None
        return functional.linear(x.flatten(1), self.weights[f"{op.name}/W"], bias)

    def flatten(self, x: Any, op: Op) -> Any:
        return x.flatten(1)

    def softmax(self, x: Any, op: Op) -> Any:
        return functional.softmax(x, -1)

    def sigmoid(self, x: Any, op: Op) -> Any:
        return functional.sigmoid(x)

    def residual(self, x: Any, op: Op) -> Any:
        return walk(self, op.body, x) + walk(self, op.shortcut, x)
