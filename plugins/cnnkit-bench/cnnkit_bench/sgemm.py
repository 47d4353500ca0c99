"""The machine's yardstick: how fast NumPy's BLAS multiplies matrices."""

from __future__ import annotations

import time

import numpy as np
from threadpoolctl import threadpool_limits

_SIDE = 1024


def sgemm_rate(threads: int, repeats: int = 12) -> float:
    """Return the best rate of a float32 product of 1024 x 1024 matrices, in GFLOP/s."""
    a = np.random.default_rng(0).random((_SIDE, _SIDE), np.float32)
    out = np.empty_like(a)
    with threadpool_limits(limits=threads, user_api="blas"):
        return 2 * _SIDE**3 / min(_seconds(a, out) for _ in range(repeats)) / 1e9


def _seconds(a: np.ndarray, out: np.ndarray) -> float:
    started = time.perf_counter()
    np.matmul(a, a, out=out)
    return time.perf_counter() - started
