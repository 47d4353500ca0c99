"""The operations as Keras layers, on tensors (N, H, W, C): TensorFlow's processors need that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any

import keras
from cnnkit.arrays import Array
from cnnkit.base.place import spoken

from cnnkit_bench.errors import CannotExpressError
from cnnkit_bench.network import Op, walk


class KerasOps:
    """Each method calls a Keras layer; `fill` then puts the initial weights into the layers.

    Args:
        weights: initial weights by path.
        drops: whether a dropout does, in training.
        l2: weight decay that is part of the gradient, of kernels.
    """

    def __init__(self, weights: dict[str, Array], drops: bool = True, l2: float = 0.0) -> None:
        self._weights, self._drops, self._l2 = weights, drops, l2
        self._made: dict[str, tuple[Any, list[Array]]] = {}
        self._norms: dict[str, tuple[Op, Any]] = {}

    def fill(self) -> None:
        """Set the weights of every layer made so far."""
        for layer, weights in self._made.values():
            layer.set_weights(weights)

    @contextmanager
    def unbiased(self, images: int, steps: int) -> Iterator[None]:
        """For a while, give every batch_norm the running variance that it would have had if Keras,
        too, divided by n - 1: it is a sum of the initial one and of those of `steps` batches."""
        norms = [(op, layer) for op, layer in self._norms.values()]
        kept = [layer.get_weights() for _, layer in norms]
        for (op, layer), (*others, variance) in zip(norms, kept, strict=True):
            n = images * prod(op.shape[1:])
            initial = self._weights[f"{op.name}/variance"] * layer.momentum**steps
            layer.set_weights([*others, initial + (variance - initial) * n / max(1, n - 1)])
        yield
        for (_, layer), weights in zip(norms, kept, strict=True):
            layer.set_weights(weights)

    def _layer(self, op: Op, make: Any, weights: list[Array]) -> Any:
        """Return the layer of this name, so that two models made by one table share it."""
        if op.name not in self._made:
            self._made[op.name] = (make(), weights)
        return self._made[op.name][0]

    def _linear(self, op: Op, make: Any, W: Array) -> Any:
        """Return a layer with a kernel and, where there is one, a bias."""
        bias = [self._weights[f"{op.name}/b"]] if op.options["bias"] else []
        options = {"use_bias": op.options["bias"]}
        if self._l2:  # Keras's penalty is l2 * W**2
            options["kernel_regularizer"] = keras.regularizers.L2(self._l2 / 2)
        return self._layer(op, lambda: make(**options), [W, *bias])

    def conv(self, x: Any, op: Op) -> Any:
        o = op.options
        if max(o["stride"]) > 1 and max(o["dilation"]) > 1:
            raise CannotExpressError(f"{spoken(op.name)} (stride and dilation at once)")
        padding, x = _padding(x, op)
        layer = self._linear(op, partial(
            keras.layers.Conv2D, o["filters"], tuple(o["kernel"]), tuple(o["stride"]), padding,
            dilation_rate=tuple(o["dilation"]), groups=o["groups"],
        ), self._weights[f"{op.name}/W"].transpose(2, 3, 1, 0))  # fmt: skip
        return layer(x)

    def batch_norm(self, x: Any, op: Op) -> Any:
        names = ("gamma", "beta", "mean", "variance")
        momentum, eps = 1 - op.options["momentum"], op.options["eps"]
        layer = self._layer(
            op,
            lambda: keras.layers.BatchNormalization(momentum=momentum, epsilon=eps),
            [self._weights[f"{op.name}/{name}"] for name in names],
        )
        self._norms[op.name] = op, layer
        return layer(x)

    def dropout(self, x: Any, op: Op) -> Any:
        return keras.layers.Dropout(op.options["rate"])(x) if self._drops else x

    def global_mean_pool(self, x: Any, op: Op) -> Any:
        return keras.layers.GlobalAveragePooling2D()(x)

    def global_max_pool(self, x: Any, op: Op) -> Any:
        return keras.layers.GlobalMaxPooling2D()(x)

    def relu(self, x: Any, op: Op) -> Any:
        return keras.layers.ReLU()(x)

    def max_pool(self, x: Any, op: Op) -> Any:
        return keras.layers.MaxPooling2D(tuple(op.options["size"]), tuple(op.options["stride"]))(x)

    def min_pool(self, x: Any, op: Op) -> Any:
        return keras.ops.negative(self.max_pool(keras.ops.negative(x), op))

    def mean_pool(self, x: Any, op: Op) -> Any:
        size, stride = tuple(op.options["size"]), tuple(op.options["stride"])
        return keras.layers.AveragePooling2D(size, stride)(x)

    def dense(self, x: Any, op: Op) -> Any:
        """Flatten channels-last; the rows of W are put in that order once, not the images."""
        W = self._weights[f"{op.name}/W"]
        if len(op.shape) == 3:
            W = W.reshape(*op.shape, -1).transpose(1, 2, 0, 3).reshape(W.shape)
        layer = self._linear(op, partial(keras.layers.Dense, op.options["units"]), W)
        return layer(x if len(op.shape) == 1 else keras.layers.Flatten()(x))

    def flatten(self, x: Any, op: Op) -> Any:
        if len(op.shape) == 3:
            x = keras.layers.Permute((3, 1, 2))(x)
        return keras.layers.Flatten()(x)

    def softmax(self, x: Any, op: Op) -> Any:
        return keras.layers.Softmax()(x)

    def sigmoid(self, x: Any, op: Op) -> Any:
        return keras.layers.Activation("sigmoid")(x)

    def residual(self, x: Any, op: Op) -> Any:
        return keras.layers.Add()([walk(self, op.body, x), walk(self, op.shortcut, x)])


def _padding(x: Any, op: Op) -> tuple[str, Any]:
    """Return Keras's word for the padding, or "valid" and `x` padded by a layer of its own."""
    sides, o = [tuple(side) for side in op.options["padding"]], op.options
    if not any(map(any, sides)):
        return "valid", x
    spans = [d * (k - 1) for d, k in zip(o["dilation"], o["kernel"], strict=True)]
    if max(o["stride"]) == 1 and sides == [(s // 2, s - s // 2) for s in spans]:
        return "same", x
    return "valid", keras.layers.ZeroPadding2D(tuple(sides))(x)
