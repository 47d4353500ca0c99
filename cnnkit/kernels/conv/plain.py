"""Convolution as its formula reads, one kernel tap at a time: the file to read first.

y[n, f, i, j] = b[f] + sum over c, u, v of W[f, c, u, v] * x[n, c, i + u, j + v]

With stride and dilation, tap (u, v) meets row i * sh + u * dh and column j * sw + v * dw of the
padded map: for all (i, j) together, a strided slice. With groups, filters see their share of the
channels. Right for every geometry, and slow: the tests hold every route against it.
"""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Scratch
from cnnkit.kernels.conv.geometry import ConvGeometry, Result


def conv(
    x: Array, W: Array, b: Array | None, geometry: ConvGeometry, scratch: Scratch, wants_dx: bool
) -> Result:
    """Correlate: x (N, C, H, W), W (F, C/groups, kh, kw) -> y (N, F, H', W'); b as in `routes`."""
    (N, C, H, Wx), F, G, (kh, kw) = x.shape, len(W), geometry.groups, geometry.kernel
    (sh, sw), (dh, dw), (Ho, Wo) = geometry.stride, geometry.dilation, geometry.output(H, Wx)
    padded = np.pad(x, ((0, 0), (0, 0), *geometry.padding))
    maps = padded.reshape(N, G, C // G, *padded.shape[2:])
    kernels = W.reshape(G, F // G, C // G, kh, kw)
    taps = [(u, v) for u in range(kh) for v in range(kw)]

    def met(maps: Array, u: int, v: int) -> Array:  # by tap (u, v): (N, G, C/G, H', W')
        rows = slice(u * dh, u * dh + (Ho - 1) * sh + 1, sh)
        return maps[..., rows, slice(v * dw, v * dw + (Wo - 1) * sw + 1, sw)]

    y = np.zeros((N, F, Ho, Wo), x.dtype)
    for u, v in taps:
        part = np.einsum("gfc,ngcij->ngfij", kernels[..., u, v], met(maps, u, v))
        y += part.reshape(y.shape)
    if b is not None:
        y += b if b.ndim == 3 else b.reshape(F, 1, 1)

    def backward(dy: Array) -> tuple[Array | None, Array, Array | None]:
        dout, dkernels, dmaps = dy.reshape(N, G, -1, Ho, Wo), kernels.copy(), np.zeros_like(maps)
        for u, v in taps:
            dkernels[..., u, v] = np.einsum("ngfij,ngcij->gfc", dout, met(maps, u, v))
            met(dmaps, u, v)[...] += np.einsum("gfc,ngfij->ngcij", kernels[..., u, v], dout)
        (top, _), (left, _) = geometry.padding
        dx = dmaps.reshape(padded.shape)[:, :, top : top + H, left : left + Wx]
        db = None if b is None else dy.sum(axis=0 if b.ndim == 3 else (0, 2, 3))
        return dx if wants_dx else None, dkernels.reshape(W.shape), db

    return y, backward
