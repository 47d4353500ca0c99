"""Stochastic gradient descent with momentum, in place and in cache-sized chunks."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array

CHUNK = 65536  # elements: w, g, v and t of one chunk fit 1 MiB of cache together in float32


def sgd(
    w: Array,
    g: Array,
    v: Array | None,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> None:
    """Move w against its gradient g, both 1-D; v is the velocity, None without momentum.

    g += weight_decay * w; v = momentum * v + g; w -= lr * v, or lr * (g + momentum * v) for
    Nesterov. Updates w and v in place and uses g as scratch memory.
    """
    spare = np.empty(min(w.size, CHUNK), w.dtype)
    for start in range(0, w.size, CHUNK):
        part = slice(start, start + CHUNK)
        wc, gc = w[part], g[part]
        t, direction = spare[: wc.size], gc
        if weight_decay:
            gc += np.multiply(wc, weight_decay, out=t)
        if v is not None:
            vc = v[part]
            vc *= momentum
            vc += gc
            if nesterov:
                gc += np.multiply(vc, momentum, out=t)
            else:
                direction = vc
        wc -= np.multiply(direction, lr, out=gc)
