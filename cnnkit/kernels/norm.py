"""Normalisation: mean 0 and variance 1 over some axes, then a gain and a shift per channel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnkit.arrays import Array, Scratch

NormBackward = Callable[[Array], tuple[Array, Array, Array]]
"""dy -> (dx, dgamma, dbeta)."""


def along(weight: Array, x: Array) -> Array:
    """View a weight (C,) as (C, 1, ...), so that it goes along x (N, C, ...)."""
    return weight.reshape(-1, *[1] * (x.ndim - 2))


def layer_norm(
    x: Array, gamma: Array, beta: Array, eps: float, axes: tuple[int, ...], scratch: Scratch
) -> tuple[Array, NormBackward]:
    """Normalise x (N, C, ...) over `axes` of each sample; gamma and beta are (C,)."""
    z = np.subtract(x, x.mean(axes, keepdims=True), out=scratch.empty(x.shape, x.dtype))
    part = np.square(z, out=scratch.temp("norm.part", x.shape, x.dtype))
    scale = 1 / np.sqrt(part.mean(axes, keepdims=True) + x.dtype.type(eps))
    z *= scale
    y = np.multiply(z, along(gamma, x), out=scratch.empty(x.shape, x.dtype))
    y += along(beta, x)

    def backward(dy: Array) -> tuple[Array, Array, Array]:
        others = (0, *range(2, x.ndim))
        part = np.multiply(dy, z, out=scratch.temp("norm.part", x.shape, x.dtype))
        dgamma, dbeta = part.sum(others), dy.sum(others)
        # dx = scale * (dz - mean of dz - z * mean of (dz * z)), dz = gamma * dy
        part *= along(gamma, x)
        dx = np.multiply(z, part.mean(axes, keepdims=True), out=scratch.empty(x.shape, x.dtype))
        dz = np.multiply(dy, along(gamma, x), out=part)
        np.subtract(dz, dx, out=dx)
        dx -= dz.mean(axes, keepdims=True)
        dx *= scale
        return dx, dgamma, dbeta

    return y, backward
