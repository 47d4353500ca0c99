"""Keras on TensorFlow and on JAX."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import keras
import numpy as np
from cnnkit.arrays import Array

from cnnkit_bench.case import Case
from cnnkit_bench.errors import CannotExpressError
from cnnkit_bench.network import walk
from cnnkit_bench.peers.base import Peer
from cnnkit_bench.peers.head import split_head
from cnnkit_bench.peers.keras_ops import KerasOps

_LOSSES = {
    "softmax": keras.losses.SparseCategoricalCrossentropy,
    "sigmoid": keras.losses.BinaryCrossentropy,
}


class Keras(Peer):
    """A functional Keras model, trained by `train_on_batch`; images are channels-last."""

    def __init__(self, case: Case, threads: int) -> None:
        super().__init__(case, threads)
        self._x = np.ascontiguousarray(case.inputs.transpose(0, 2, 3, 1))
        self._portions: dict[tuple[int, int], tuple[Any, Any]] = {}
        self._model: Any = None
        self._logits: Any = None
        self._ops = KerasOps(case.weights)
        self._steps = 0

    def _build(self) -> None:
        C, H, W = self.case.shape
        x = keras.Input((H, W, C))
        self._model = keras.Model(x, walk(self._ops, self.case.ops, x))
        if self.mode == "training":
            body, _ = split_head(self.case)
            self._logits = keras.Model(x, walk(self._ops, body, x))

    def start(self, lr: float) -> None:
        keras.backend.clear_session()
        is_l2 = self.case.optimizer_option("type") == "sgd"  # elsewhere it is the optimizer's
        l2 = self.case.optimizer_option("weight_decay") if is_l2 else 0.0
        self._ops = KerasOps(self.case.weights, not self.still, l2)
        self._build()
        self._ops.fill()
        self._steps = 0
        if self.mode == "training":
            loss = _LOSSES[split_head(self.case)[1]](from_logits=True)
            self._logits.compile(self._make_optimizer(lr), loss)

    def _make_optimizer(self, lr: float) -> Any:
        option = self.case.optimizer_option
        match option("type"):
            case "sgd":
                momentum, nesterov = option("momentum"), bool(option("nesterov"))
                return keras.optimizers.SGD(lr, momentum, nesterov)
            case "adam" | "adamw":
                betas, eps = option("betas"), option("eps")
                made = keras.optimizers.AdamW(lr, option("weight_decay"), *betas, eps)
                made.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
                return made
        raise CannotExpressError(f"optimizer {option('type')}")

    def step(self, rows: slice) -> None:
        x, labels = self._portion(rows)
        if self.mode == "inference":
            self._model.predict_on_batch(x)
        else:
            self.learn(x, labels)
            self._steps += 1

    def learn(self, x: Array, labels: Array, lr: float | None = None) -> None:
        """Take a step on images (N, H, W, C), at another learning rate where one is given."""
        if lr is not None:
            self._logits.optimizer.learning_rate = lr
        self._logits.train_on_batch(x, labels)

    def predict(self, x: Array) -> Array:
        """Return the network's output for images (N, H, W, C)."""
        y: Array = np.asarray(self._model.predict_on_batch(x))
        return y

    def _portion(self, rows: slice) -> tuple[Any, Any]:
        return self._x[rows], self.case.labels[rows]

    def outputs(self, count: int) -> Array:
        with self._ops.unbiased(self.batch, self._steps):
            return self.predict(self._x[:count])


class KerasTensorflow(Keras):
    """Keras on TensorFlow; threads within and between operations alike."""

    def __init__(self, case: Case, threads: int) -> None:
        tensorflow = import_module("tensorflow")
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
        self._library = f"tensorflow {tensorflow.__version__}"
        super().__init__(case, threads)

    def version(self) -> str:
        return f"keras {keras.__version__}, {self._library}"


class KerasJax(Keras):
    """Keras on JAX, which takes its threads from the cores that its process may use."""

    def version(self) -> str:
        return f"keras {keras.__version__}, jax {import_module('jax').__version__}"
