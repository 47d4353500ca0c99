"""Batch normalisation."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms, Weight
from cnnkit.kernels.norm import batch_norm, combined, moments


class BatchNorm(Layer):
    """Batch normalisation: shape -> shape; each channel by its mean and variance over the batch.

    y = gamma * (x - mean) / sqrt(variance + eps) + beta, all four per channel of a map (C, H, W) or
    value of a vector (D,). In training mean and variance are those of the whole batch, whatever its
    shards; afterwards they are running ones, which each step brings nearer to its batch's:
    running = (1 - momentum) * running + momentum * batch's, the batch's variance divided by n - 1;
    a batch of one number a channel leaves them as they are.
    That is PyTorch's convention, with its defaults; in Keras momentum is 1 minus this (0.99), eps
    is 0.001, and the variance is divided by n. With trainable = false the running ones are taken
    and kept in training, too, as in Keras.
    Source: Ioffe and Szegedy, Batch Normalization (2015).

    >>> w = {"gamma": np.ones(1), "beta": np.zeros(1), "mean": np.zeros(1), "variance": np.ones(1)}
    >>> x = np.array([[1.0], [3.0]])
    >>> BatchNorm(eps=1e-12).forward(x, w, Context(training=True))[0].round(6).tolist()
    [[-1.0], [1.0]]
    >>> BatchNorm(eps=1e-12).forward(x, w, Context())[0].round(6).tolist()
    [[1.0], [3.0]]
    """

    type: Literal["batch_norm"] = "batch_norm"
    couples_batch: ClassVar[bool] = True
    gathers: ClassVar[bool] = True
    synonyms: ClassVar[Synonyms] = {
        "batch_norm": "bn norm normalization batchnormalization batchnorm1d batchnorm2d"
    }
    eps: Annotated[float, Field(ge=1e-12, le=1)] = 1e-5
    """Added to the variance, so that a constant channel does not divide by zero."""
    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of each batch's mean and variance in the running ones."""

    def weights(self, shape: Shape) -> dict[str, Weight]:
        starts = {"gamma": 1.0, "beta": 0.0, "mean": 0.0, "variance": 1.0}
        return {
            name: Weight(shape[:1], start, learns=name in ("gamma", "beta"), decays=False)
            for name, start in starts.items()
        }

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        count, mean, variance = 0, w["mean"], w["variance"]
        learns = ctx.training and self.trainable
        if learns:
            count, mean, squares = combined(ctx.gather(moments(x)))
            variance = squares / count
            self.renew(w, count, mean, squares, ctx)
        scale = 1 / np.sqrt(variance + self.eps)
        mean, scale = mean.astype(x.dtype), scale.astype(x.dtype)
        y, (sums, back) = batch_norm(x, mean, scale, w["gamma"], w["beta"], ctx.scratch)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dgamma, dbeta = sums(dy)
            grads = {"gamma": dgamma, "beta": dbeta}
            if not (learns and ctx.wants_dx):
                return back(dy), grads
            everybodys = zip(*ctx.gather((dgamma, dbeta)), strict=True)
            totals = (np.add.reduce(parts) for parts in everybodys)
            return back(dy, *totals, count), grads

        return y, backward

    def renew(self, w: Weights, count: int, mean: Array, squares: Array, ctx: Context) -> None:
        """Bring the running mean and variance nearer to those of a batch of `count` numbers a
        channel, of which `squares` is the sum of squared distances from the mean. A single number
        has no variance to tell: it would pull the running one to 0."""
        if count < 2:
            return
        found = {"mean": mean, "variance": squares / (count - 1)}
        for name, value in found.items():
            running = (1 - self.momentum) * w[name] + self.momentum * value
            ctx.renew(name, running.astype(w[name].dtype))
