"""Prints the rate of each micro-kernel beside BLAS, on one thread: python tests/rates.py."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import numpy as np
from cnnkit_native.library import LIB, address, choose, variant

from cnnkit.workers import one_blas_thread

# channels, filters, side of the kernel, side of the map
SHAPES = [(1, 6, 5, 28), (6, 6, 5, 28), (8, 8, 3, 28), (32, 32, 3, 28), (64, 64, 3, 14),
          (128, 128, 3, 7)]  # fmt: skip


def rate(flops: int, call: Callable[[int], object]) -> float:
    """Return GFLOP/s, the best of nine turns of about 5 ms."""
    rounds = max(1, int(5e-3 * 50e9 / flops))
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        call(rounds)
        best = min(best, time.perf_counter() - started)
    return flops * rounds / best / 1e9


def sgemm() -> float:
    a = np.ones((512, 512), np.float32)
    out = np.empty_like(a)
    with one_blas_thread():
        return rate(2 * 512**3, lambda rounds: [np.matmul(a, a, out=out) for _ in range(rounds)])


def kernels(C: int, F: int, K: int, side: int) -> tuple[float, float]:
    pitch = side + K // 2
    plane, T, L = (side + K) * pitch, C * K * K, (side - 1) * pitch + side
    off = np.array(
        [c * plane + i * pitch + j for c in range(C) for i in range(K) for j in range(K)]
    )
    x, wide = np.ones(C * plane + K * pitch, np.float32), np.ones((F, L), np.float32)
    W = np.ones((F, T), np.float32)
    args = [F, T, L, address(off)]
    rows = [*args, address(W), address(x), address(wide)]
    dots = [*args, address(wide), address(x), address(W)]
    flops = 2 * F * T * L
    return rate(flops, lambda n: LIB.cnnkit_rows(*rows, n)), rate(
        flops, lambda n: LIB.cnnkit_dots(*dots, n)
    )


def main() -> None:
    for function in (LIB.cnnkit_rows, LIB.cnnkit_dots):
        function.argtypes = [ctypes.c_int64] * 3 + [ctypes.c_void_p] * 4 + [ctypes.c_int64]
    best, blas = variant(), sgemm()
    print(f"sgemm of 512 x 512: {blas:.0f} GFLOP/s")
    for name in filter(choose, ("avx512", "avx2", "baseline", "neon")):
        for C, F, K, side in SHAPES:
            rows, dots = kernels(C, F, K, side)
            shape = f"{C:3} -> {F:3}, {K}x{K} on {side:2}x{side:2}"
            shares = f"rows {rows:4.0f} ({rows / blas:4.0%})  dots {dots:4.0f} ({dots / blas:4.0%})"
            print(f"{name:8} {shape}  {shares}")
    choose(best)


if __name__ == "__main__":
    main()
