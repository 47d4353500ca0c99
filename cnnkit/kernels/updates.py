"""How SGD and Adam move the weights, and averages follow them: in place, in chunks that stay in
the cache."""

from __future__ import annotations

from math import sqrt

import numpy as np

from cnnkit.arrays import Array

CHUNK = 65536  # elements: w, g, v and t of one chunk fit 1 MiB of cache together in float32
PERIOD = 64  # steps


def sgd(
    w: Array,
    g: Array,
    v: Array | None,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    step: int = 0,
) -> None:
    """Move w against its gradient g, both 1-D; v is the velocity, None without momentum.

    g += weight_decay * w; v = momentum * v + g; w -= lr * v, or lr * (g + momentum * v) for
    Nesterov. Updates w and v in place and uses g as scratch memory. `step` counts from 0.
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
            if step % PERIOD == PERIOD - 1:
                _forget(vc, t)
            if nesterov:
                gc += np.multiply(vc, momentum, out=t)
            else:
                direction = vc
        wc -= np.multiply(direction, lr, out=gc)


def blend(average: Array, w: Array, share: float) -> None:
    """Move a running average of w towards it, both 1-D and in place: average += share * (w -
    average)."""
    spare = np.empty(min(w.size, CHUNK), w.dtype)
    for start in range(0, w.size, CHUNK):
        ac, wc = average[start : start + CHUNK], w[start : start + CHUNK]
        t = np.subtract(wc, ac, out=spare[: wc.size])
        ac += np.multiply(t, share, out=t)


def adam(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    step: int,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
) -> None:
    """Move w by its gradient g, running mean m and running mean square v, all 1-D.

    w *= 1 - lr * weight_decay; m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g²;
    w -= lr * m^ / (sqrt(v^) + eps), where m^ and v^ are divided by 1 - beta ** step and `step`
    counts from 1. Updates w, m and v in place and uses g as scratch memory.

    Source: Kingma and Ba, Adam (2015); Loshchilov and Hutter, Decoupled Weight Decay (2019).
    """
    # lr * m^ / (sqrt(v^) + eps) = rate * m / (sqrt(v) + eps * root): one pass over v less.
    root = sqrt(1 - beta2**step)
    rate = lr * root / (1 - beta1**step)
    spare = np.empty(min(w.size, CHUNK), w.dtype)
    for start in range(0, w.size, CHUNK):
        part = slice(start, start + CHUNK)
        wc, gc, mc, vc, t = w[part], g[part], m[part], v[part], spare[: w[part].size]
        mc *= beta1
        mc += np.multiply(gc, 1 - beta1, out=t)
        vc *= beta2
        vc += np.multiply(np.square(gc, out=gc), 1 - beta2, out=gc)
        if step % PERIOD == 0:
            _forget(mc, t, vc)
        np.add(np.sqrt(vc, out=t), eps * root, out=t)
        np.divide(mc, t, out=t)
        if weight_decay:
            wc *= 1 - lr * weight_decay
        wc -= np.multiply(t, rate, out=t)


def _forget(v: Array, t: Array, square: Array | None = None) -> None:
    """Set to zero what no gradient has fed for long, with t as scratch memory.

    Left alone, it would sink to the smallest numbers of its dtype and stay there, where a product
    takes twenty times as long. The mean square goes where the mean has gone: a mean over the root
    of nothing would leap.
    """
    least = np.finfo(v.dtype).tiny * 1e8  # far enough above for a period, and for lr times it
    stays = np.abs(v, out=t) >= least
    v *= stays
    if square is not None:
        square *= np.logical_or(stays, square >= least, out=stays)
