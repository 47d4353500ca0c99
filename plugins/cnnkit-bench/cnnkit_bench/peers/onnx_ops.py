"""The operations as ONNX nodes; what goes from one to the next is the name of a value."""

from __future__ import annotations

from typing import Any

import onnx
from cnnkit.arrays import Array

from cnnkit_bench.network import Op, walk


class OnnxOps:
    """Each method adds a node and returns the name of its output."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.nodes: list[Any] = []
        self.weights = [onnx.numpy_helper.from_array(w, path) for path, w in weights.items()]

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"value{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, x: str, op: Op) -> str:
        o = op.options
        (top, bottom), (left, right) = o["padding"]
        weights = [f"{op.name}/W", f"{op.name}/b"] if o["bias"] else [f"{op.name}/W"]
        return self._node(
            "Conv", x, *weights, strides=o["stride"], pads=[top, left, bottom, right],
            dilations=o["dilation"], group=o["groups"], kernel_shape=o["kernel"],
        )  # fmt: skip

    def untied_bias(self, x: str, op: Op) -> str:
        return self._node("Add", x, f"{op.name}/b")

    def batch_norm(self, x: str, op: Op) -> str:
        weights = [f"{op.name}/{name}" for name in ("gamma", "beta", "mean", "variance")]
        return self._node("BatchNormalization", x, *weights, epsilon=op.options["eps"])

    def dropout(self, x: str, op: Op) -> str:
        return x

    def global_mean_pool(self, x: str, op: Op) -> str:
        return self.flatten(self._node("GlobalAveragePool", x), op)

    def global_max_pool(self, x: str, op: Op) -> str:
        return self.flatten(self._node("GlobalMaxPool", x), op)

    def relu(self, x: str, op: Op) -> str:
        return self._node("Relu", x)

    def max_pool(self, x: str, op: Op) -> str:
        return self._pool("MaxPool", x, op)

    def min_pool(self, x: str, op: Op) -> str:
        return self._node("Neg", self.max_pool(self._node("Neg", x), op))

    def mean_pool(self, x: str, op: Op) -> str:
        return self._pool("AveragePool", x, op)

    def _pool(self, kind: str, x: str, op: Op) -> str:
        size, stride = op.options["size"], op.options["stride"]
        return self._node(kind, x, kernel_shape=size, strides=stride)

    def dense(self, x: str, op: Op) -> str:
        flat = self.flatten(x, op) if len(op.shape) > 1 else x
        bias = [f"{op.name}/b"] if op.options["bias"] else []
        return self._node("Gemm", flat, f"{op.name}/W", *bias)

    def flatten(self, x: str, op: Op) -> str:
        return self._node("Flatten", x)

    def softmax(self, x: str, op: Op) -> str:
        return self._node("Softmax", x, axis=-1)

    def sigmoid(self, x: str, op: Op) -> str:
        return self._node("Sigmoid", x)

    def residual(self, x: str, op: Op) -> str:
        return self._node("Add", walk(self, op.body, x), walk(self, op.shortcut, x))
