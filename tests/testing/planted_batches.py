"""Bugs in how a layer treats the batch, and other users at the same time."""

from __future__ import annotations

from typing import Literal

import numpy as np
from planted import Gain, planted

from cnnkit.base import Layer


@planted("dx_is_shaped_like_x")
class Flattens(Gain):
    """dx comes back flattened."""

    type: Literal["flattens"] = "flattens"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y, lambda dy: (back(dy)[0].reshape(len(dy), -1), back(dy)[1])


@planted("batch_of_one")
class Squeezes(Gain):
    """squeeze() drops the batch axis of a single sample."""

    type: Literal["squeezes"] = "squeezes"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return (y[0] if len(y) == 1 else y), back


@planted("batch_equals_singles")
class Centres(Layer):
    """Subtracts the mean of the batch without saying that it couples samples."""

    type: Literal["centres"] = "centres"

    def forward(self, x, w, ctx):
        return x - x.mean(axis=0), lambda dy: (dy - dy.mean(axis=0), {})


@planted("batch_equals_singles", shape=(4,))
class WrongAxis(Layer):
    """Softmax over the batch instead of the classes."""

    type: Literal["wrong_axis"] = "wrong_axis"

    def forward(self, x, w, ctx):
        y = np.exp(x - x.max(axis=0))
        y /= y.sum(axis=0)
        return y, lambda dy: (y * (dy - (dy * y).sum(axis=0)), {})


@planted("samples_do_not_meet")
class CentresAndDrops(Layer):
    """In training, subtracts the mean of the batch and drops half, and says nothing of it."""

    type: Literal["centres_and_drops"] = "centres_and_drops"

    def forward(self, x, w, ctx):
        if not ctx.training:
            return x, lambda dy: (dy, {})
        mask = (ctx.rng().random(x.shape) < 0.5).astype(x.dtype)

        def backward(dy):
            dropped = dy * mask
            return dropped - dropped.mean(axis=0), {}

        return (x - x.mean(axis=0)) * mask, backward


@planted("batch_of_33")
class SmallBatchesOnly(Gain):
    """Raises for more than 8 samples."""

    type: Literal["small_batches_only"] = "small_batches_only"

    def forward(self, x, w, ctx):
        if len(x) > 8:
            raise ValueError("too many")
        return super().forward(x, w, ctx)


@planted("batch_of_33")
class ForgetsTheRest(Gain):
    """Works in blocks of 16, and leaves the samples after the last whole block as they are."""

    type: Literal["forgets_the_rest"] = "forgets_the_rest"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        rest = len(x) - len(x) % 16 if len(x) > 16 else len(x)
        y[rest:] = x[rest:]
        return y, back


@planted("shards_equal_batch")
class Averages(Gain):
    """Gradients are averaged over the batch, which the engine does already."""

    type: Literal["averages"] = "averages"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)

        def backward(dy):
            dx, grads = back(dy)
            return dx, {name: grad / len(dy) for name, grad in grads.items()}

        return y, backward


_LAST: dict = {}


@planted("two_forwards_then_backwards")
class ModuleCache(Gain):
    """backward reads x from a dict in the module."""

    type: Literal["module_cache"] = "module_cache"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        _LAST["back"] = back
        return y, lambda dy: _LAST["back"](dy)


_SHARED = np.empty(1000)


@planted("two_threads_at_once")
class SharedBuffer(Gain):
    """Two lines that share a buffer with every other thread."""

    type: Literal["shared_buffer"] = "shared_buffer"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        part = _SHARED[: y.size]
        part[:] = y.ravel()
        return part.reshape(y.shape).astype(y.dtype), back
