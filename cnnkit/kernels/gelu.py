"""GELU: `x * P(Z <= x)` for a standard normal Z, exactly or by a hyperbolic tangent."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from cnnkit.arrays import Array, Scratch

Activated = tuple[Array, Callable[[Array], Array]]
# (1 + 2z) * exp(z²) * erfc(z) as a polynomial in (z - 3.75) / (z + 3.75), lowest power first; as
# many terms as the dtype can hold. Source: Shepherd and Laframboise (1981); the numbers come from
# tests/kernels/make_erfc.py.
_TERMS: dict[Any, tuple[float, ...]] = {
    np.float32: (
        1.2375126192677, -0.1402406583213864, 0.003586270394024618, 0.08227841998347046,
        -0.10881427014905069, 0.09229076959130378, -0.05864685873554614, 0.02840925236412726,
        -0.009844494859674952, 0.001675912217981131, 0.0003963076129893627,
        -0.00022411674674416022,
    ),
    np.float64: (
        1.2375126308378275, -0.14024059858554525, 0.0035854154854790257, 0.08227673848999506,
        -0.10880393014244462, 0.09230432116428125, -0.05869339857664934, 0.02836227737211114,
        -0.009746579683265262, 0.0017556261651970652, 0.000293714378044958,
        -0.00029015535246077655, 5.164652974177416e-05, 2.2387565714911816e-05,
        -1.1438048033346894e-05, -9.792625707303523e-07, 1.7419821586224816e-06,
        -5.084465378687302e-08, -2.4857126248016745e-07, 1.879082322370048e-08,
        3.197926671666804e-08, -1.9551358868985616e-09, -2.623107347133476e-09,
    ),
}  # fmt: skip


def gelu(x: Array, scratch: Scratch) -> Activated:
    """Weigh x (any shape) by the normal distribution: `x * (1 + erf(x / sqrt 2)) / 2`."""
    below = scratch.empty(x.shape, x.dtype)  # P(Z <= x)
    density = scratch.empty(x.shape, x.dtype)
    _normal(x, below, density, scratch)
    y = np.multiply(x, below, out=scratch.empty(x.shape, x.dtype))

    def backward(dy: Array) -> Array:
        dx = np.multiply(x, density, out=scratch.empty(x.shape, x.dtype))
        dx += below
        dx *= dy
        return dx

    return y, backward


def _normal(x: Array, below: Array, density: Array, scratch: Scratch) -> None:
    """Write P(Z <= x) and the density of Z at x."""
    z = np.abs(x, out=scratch.temp("gelu.z", x.shape, x.dtype))
    z *= sqrt(0.5)
    np.multiply(z, -z, out=density)
    np.exp(density, out=density)
    ratio = np.add(z, 3.75, out=scratch.temp("gelu.ratio", x.shape, x.dtype))
    np.divide(z - 3.75, ratio, out=ratio)
    first, *rest = reversed(_TERMS[x.dtype.type])
    below.fill(first)
    for term in rest:
        below *= ratio
        below += term
    z *= 2
    z += 1
    below /= z
    below *= density
    below *= 0.5  # P(Z > |x|)
    np.subtract(1, below, out=below, where=x > 0)
    density *= 1 / sqrt(2 * pi)


def gelu_tanh(x: Array, scratch: Scratch) -> Activated:
    """The same to three digits: `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x³))) / 2`."""
    square = np.square(x, out=scratch.temp("gelu.z", x.shape, x.dtype))
    t = np.multiply(square, 0.044715, out=scratch.empty(x.shape, x.dtype))
    t += 1
    t *= x
    t *= sqrt(2 / pi)
    np.tanh(t, out=t)
    y = np.add(t, 1, out=scratch.empty(x.shape, x.dtype))
    y *= x
    y *= 0.5

    def backward(dy: Array) -> Array:
        # (1 + t) / 2 + x * (1 - t²) / 2 * sqrt(2 / pi) * (1 + 3 * 0.044715 x²)
        dx = np.square(x, out=scratch.empty(x.shape, x.dtype))
        dx *= 3 * 0.044715
        dx += 1
        dx *= x
        dx *= sqrt(2 / pi)
        part = np.square(t, out=scratch.temp("gelu.z", x.shape, x.dtype))
        np.subtract(1, part, out=part)
        dx *= part
        dx += t
        dx += 1
        dx *= 0.5
        dx *= dy
        return dx

    return y, backward
