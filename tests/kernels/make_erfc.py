"""The terms in cnnkit/kernels/gelu.py: `pip install mpmath && python tests/kernels/make_erfc.py`.

(1 + 2z) * exp(z²) * erfc(z) is smooth over all z >= 0 in s = (z - 3.75) / (z + 3.75), so its
Chebyshev series in s ends soon. Source: Shepherd and Laframboise, Chebyshev Approximation of
(1 + 2x)exp(x²)erfc(x) in 0 <= x < inf (1981).
"""

from __future__ import annotations

import mpmath as mp

NODES, DEGREES = 80, {"float32": 11, "float64": 22}
mp.mp.dps = 60


def value(s: mp.mpf) -> mp.mpf:
    z = mp.mpf("3.75") * (1 + s) / (1 - s)
    return (1 + 2 * z) * mp.exp(z * z) * mp.erfc(z)


def series() -> list[mp.mpf]:
    """Return the Chebyshev coefficients of the function."""
    angles = [mp.pi * (i + mp.mpf(1) / 2) / NODES for i in range(NODES)]
    values = [value(mp.cos(a)) for a in angles]
    found = [2 * mp.fsum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) / NODES
             for j in range(NODES)]  # fmt: skip
    return [found[0] / 2, *found[1:]]


def powers(coefficients: list[mp.mpf]) -> list[mp.mpf]:
    """Return the same polynomial by powers of s, the lowest first."""
    before, now = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    total = [mp.mpf(0)] * len(coefficients)
    for coefficient in coefficients:
        for power, factor in enumerate(before):
            total[power] += coefficient * factor
        after = [mp.mpf(0), *(2 * f for f in now)]
        before, now = now, [a - b for a, b in zip(after, [*before, 0, 0], strict=False)]
    return total


if __name__ == "__main__":
    all_of_them = series()
    for dtype, degree in DEGREES.items():
        print(dtype, [float(term) for term in powers(all_of_them[: degree + 1])])
