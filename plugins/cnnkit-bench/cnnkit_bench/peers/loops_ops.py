"""The operations on one image, (C, H, W), with a Python loop wherever a textbook has one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cnnkit.arrays import Array

from cnnkit_bench.network import Op, walk
from cnnkit_bench.peers.loops_windows import correlate, groups, positions, uncorrelate, windows

Back = Callable[[Array], Array]


class LoopOps:
    """Each method returns its output and puts its derivative on the tape.

    `backward(dy)` then runs the tape from its end and leaves `gradients` by path.
    """

    def __init__(self, weights: dict[str, Array]) -> None:
        self._weights = weights
        self.tape: list[Back] = []
        self.gradients: dict[str, Array] = {}

    def backward(self, dy: Array) -> Array:
        """Return the slope at the input for the slope `dy` at the output."""
        while self.tape:
            dy = self.tape.pop()(dy)
        return dy

    def conv(self, x: Array, op: Op) -> Array:
        W, o = self._weights[f"{op.name}/W"], op.options
        padded = np.pad(x, ((0, 0), *o["padding"]))
        parts = list(groups(padded, W, o["groups"]))
        y = np.concatenate([correlate(part, W[f], op) for part, f in parts])
        if o["bias"]:
            y += self._weights[f"{op.name}/b"][:, None, None]

        def back(dy: Array) -> Array:
            dW, dx = np.zeros_like(W), np.zeros_like(padded)
            for (part, f), into in zip(parts, groups(dx, W, o["groups"]), strict=True):
                uncorrelate(dy[f], part, W[f], dW[f], into[0], op)
            self.gradients[f"{op.name}/W"] = dW
            if o["bias"]:
                self.gradients[f"{op.name}/b"] = dy.sum((1, 2))
            (top, _), (left, _) = o["padding"]
            return dx[:, top : top + x.shape[1], left : left + x.shape[2]]

        self.tape.append(back)
        return y

    def untied_bias(self, x: Array, op: Op) -> Array:
        def back(dy: Array) -> Array:
            self.gradients[f"{op.name}/b"] = dy
            return dy

        self.tape.append(back)
        return x + self._weights[f"{op.name}/b"]

    def relu(self, x: Array, op: Op) -> Array:
        self.tape.append(lambda dy: np.where(x > 0, dy, np.zeros_like(dy)))
        return np.maximum(x, np.zeros_like(x))

    def max_pool(self, x: Array, op: Op) -> Array:
        y = np.empty((len(x), *positions(x, op.options["size"], op)), x.dtype)
        for i, j, window in windows(x, op.options["size"], op):
            y[:, i, j] = window.max((1, 2))

        def back(dy: Array) -> Array:
            dx = np.zeros_like(x)
            into = windows(dx, op.options["size"], op)
            for (i, j, window), (_, _, d) in zip(
                windows(x, op.options["size"], op), into, strict=True
            ):
                for c in range(len(x)):
                    first = np.unravel_index(window[c].argmax(), window[c].shape)
                    d[c][first] += dy[c, i, j]
            return dx

        self.tape.append(back)
        return y

    def min_pool(self, x: Array, op: Op) -> Array:
        self.tape.append(np.negative)
        y = -self.max_pool(-x, op)
        self.tape.append(np.negative)
        return y

    def mean_pool(self, x: Array, op: Op) -> Array:
        y = np.empty((len(x), *positions(x, op.options["size"], op)), x.dtype)
        for i, j, window in windows(x, op.options["size"], op):
            y[:, i, j] = window.mean((1, 2))

        def back(dy: Array) -> Array:
            dx = np.zeros_like(x)
            for i, j, d in windows(dx, op.options["size"], op):
                d += (dy[:, i, j] / d[0].size)[:, None, None]
            return dx

        self.tape.append(back)
        return y

    def dense(self, x: Array, op: Op) -> Array:
        W, flat = self._weights[f"{op.name}/W"], x.reshape(-1)
        y = flat @ W
        if op.options["bias"]:
            y += self._weights[f"{op.name}/b"]

        def back(dy: Array) -> Array:
            self.gradients[f"{op.name}/W"] = np.outer(flat, dy)
            if op.options["bias"]:
                self.gradients[f"{op.name}/b"] = dy
            return (W @ dy).reshape(x.shape)

        self.tape.append(back)
        return y

    def flatten(self, x: Array, op: Op) -> Array:
        self.tape.append(lambda dy: dy.reshape(x.shape))
        return x.reshape(-1)

    def softmax(self, x: Array, op: Op) -> Array:
        e = np.exp(x - x.max())
        y: Array = e / e.sum()
        self.tape.append(lambda dy: y * (dy - (dy * y).sum()))
        return y

    def sigmoid(self, x: Array, op: Op) -> Array:
        y: Array = 1 / (1 + np.exp(-x))
        self.tape.append(lambda dy: dy * y * (1 - y))
        return y

    def residual(self, x: Array, op: Op) -> Array:
        branches = [LoopOps(self._weights), LoopOps(self._weights)]
        ys = [walk(t, ops, x) for t, ops in zip(branches, (op.body, op.shortcut), strict=True)]

        def back(dy: Array) -> Array:
            dx = branches[0].backward(dy) + branches[1].backward(dy)
            self.gradients |= branches[0].gradients | branches[1].gradients
            return dx

        self.tape.append(back)
        total: Array = ys[0] + ys[1]
        return total
