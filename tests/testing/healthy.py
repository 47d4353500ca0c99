"""Components that are right, however odd: the kit must let them pass."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import numpy as np
from planted import Gain

from cnnkit.base import Initializer, Layer, Metric, Schedule, Transform, Weight


class Even(Initializer):
    """Evenly spread from 0.1 to 0.4."""

    type: Literal["even"] = "even"

    def draw(self, shape, fans, rng):
        return np.linspace(0.1, 0.4, *shape, dtype=np.float32)


class Spread(Gain):
    """Gains that learn, and start evenly spread from 0.1 to 0.4, whatever the seed."""

    type: Literal["spread"] = "spread"

    def weights(self, shape):
        return {**super().weights(shape), "g": Weight(shape[:1], Even())}


class Scalar(Layer):
    """Multiplies by one number that learns, and adds one that does not."""

    type: Literal["scalar"] = "scalar"

    def weights(self, shape):
        return {"W": Weight((), 2), "mean": Weight((), np.float32(0.5), learns=False)}

    def forward(self, x, w, ctx):
        W = w["W"]
        return x * W + w["mean"], lambda dy: (dy * W, {"W": np.asarray((dy * x).sum())})


class DropPath(Layer):
    """Drops whole samples, nine in ten of them."""

    type: Literal["drop_path"] = "drop_path"

    def forward(self, x, w, ctx):
        if not ctx.training:
            return x, lambda dy: (dy, {})
        kept = ctx.rng().random((len(x), *[1] * (x.ndim - 1))) < 0.1
        mask = kept * x.dtype.type(10)
        return x * mask, lambda dy: (dy * mask, {})


class BatchCentre(Layer):
    """Subtracts the mean of the batch in training, and says so."""

    type: Literal["batch_centre"] = "batch_centre"
    couples_batch: ClassVar[bool] = True

    def forward(self, x, w, ctx):
        if not ctx.training:
            return x, lambda dy: (dy, {})
        return x - x.mean(axis=0), lambda dy: (dy - dy.mean(axis=0), {})


class Literals(Gain):
    """Options that name the values which the kit would expect to be refused."""

    type: Literal["literals"] = "literals"
    order: Literal["1", "2", "3"] = "1"
    """Order, as a word."""
    every: Literal[1, 2, 4] | None = None
    """Every so many; pydantic takes true for 1."""


class Noisy(Gain):
    """Warns as a product of matrices may where BLAS reads more than it uses."""

    type: Literal["noisy"] = "noisy"

    def forward(self, x, w, ctx):
        warnings.warn("invalid value encountered in matmul", RuntimeWarning, stacklevel=1)
        return super().forward(x, w, ctx)


class Contrast(Transform):
    """Half as much contrast again, at a random brightness, in whole steps that stay in 0..255."""

    type: Literal["contrast"] = "contrast"
    random: ClassVar[bool] = True

    def apply(self, x, rng, scratch):
        y = (x.astype(np.float32) - 128) * 1.5 + 128 + np.float32(rng.uniform(-40, 40))
        return y.round().clip(0, 255).astype(x.dtype)


class Recalls(Metric):
    """Recall by class, None without samples, and the mean of the largest outputs in float32."""

    type: Literal["recalls"] = "recalls"

    def evaluate(self, y, labels, classes):
        hits = y.argmax(axis=1) == labels
        of = [hits[labels == k] for k in range(classes)]
        recalls = {str(k): [float(h.mean()) if h.size else None] for k, h in enumerate(of)}
        return {"by_class": recalls, "confidence": float(y.max(axis=1).mean())}


class NumPyFactor(Schedule):
    """A float64 of NumPy's, which is a float."""

    type: Literal["numpy_factor"] = "numpy_factor"

    def factor(self, epoch, epochs):
        return np.float64(0.5)
