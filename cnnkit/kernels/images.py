"""Whole images moved, warped and resampled, a shard at a time: (N, C, H, W) -> (N, C, H', W')."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from cnnkit.arrays import Array, Scratch

Pair = tuple[int, int]


def cut(
    x: Array,
    corners: tuple[Array, Array],
    size: Pair,
    padding: Pair,
    fill: float | None,
    scratch: Scratch,
    dtype: npt.DTypeLike,
) -> Array:
    """Cut a window out of each image, which lies in a border: y (N, C, *size) of `dtype`.

    Args:
        corners: (N,) rows and (N,) columns of the windows' corners, counted from the border's.
        padding: the border's height and width, the same on both sides.
        fill: the border's value; None repeats the outermost pixels.
    """
    N, C, H, W = x.shape
    shape = N, C, H + 2 * padding[0], W + 2 * padding[1]
    bordered = scratch.temp("images.bordered", shape, dtype)
    _border(bordered, x, padding, fill)
    windows = sliding_window_view(bordered, size, axis=(2, 3))
    y = scratch.empty((N, C, *size), dtype)
    y[...] = windows[np.arange(N), :, corners[0], corners[1]]
    return y


def warp(
    x: Array, maps: Array, fill: float | None, scratch: Scratch, dtype: npt.DTypeLike
) -> Array:
    """Draw each image anew, bilinearly: the pixel at p takes its value from maps[n] @ p in x.

    Positions are (row, column) from the image's centre, in pixels.

    Args:
        maps: (N, 2, 2), in float.
        fill: the value of what lies outside; None repeats the outermost pixels.
    """
    N, C, H, W = x.shape
    wide = W + 2
    bordered = scratch.temp("images.bordered", (N, C, H + 2, wide), dtype)
    _border(bordered, x, (1, 1), fill)
    rows = np.arange(H, dtype=dtype)[:, None] - (H - 1) / 2
    columns = np.arange(W, dtype=dtype) - (W - 1) / 2
    down, across = maps.astype(dtype).transpose(1, 2, 0)[..., None, None]  # each (2, N, 1, 1)
    top, dv = _whole_and_rest(down[0] * rows + down[1] * columns + (H + 1) / 2, H)
    left, du = _whole_and_rest(across[0] * rows + across[1] * columns + (W + 1) / 2, W)
    planes = np.arange(N * C).reshape(N, C, 1, 1) * ((H + 2) * wide)
    at = planes + (top * wide + left)[:, None]  # of the upper left of four neighbours
    dv, du = dv[:, None], du[:, None]
    pixels = bordered.reshape(-1)
    upper, lower = (_between(pixels[start:], at, du) for start in (0, wide))
    y = scratch.empty(x.shape, dtype)
    np.subtract(lower, upper, out=y)
    y *= dv
    y += upper
    return y


def _whole_and_rest(positions: Array, size: int) -> tuple[Array, Array]:
    """Part positions, counted from a border of one pixel, into whole numbers and what is over.

    What lies outside goes to the border's outer edge, so that the border's value is all it sees.
    """
    np.clip(positions, 0, size + 1, out=positions)
    whole = np.minimum(positions.astype(np.intp), size)
    positions -= whole
    return whole, positions


def _between(pixels: Array, at: Array, share: Array) -> Array:
    """Return what lies between neighbours in a row: (1 - share) * left + share * right."""
    left = pixels.take(at)
    right = pixels[1:].take(at)
    right -= left
    right *= share
    right += left
    return right


def resample(x: Array, size: Pair, scratch: Scratch, dtype: npt.DTypeLike) -> Array:
    """Bring images to another size: an axis that shrinks takes the mean of the area under each new
    pixel, one that grows interpolates linearly between pixel centres, edges repeated."""
    y: Array = x.astype(dtype)
    for axis, n in ((2, size[0]), (3, size[1])):
        if n != x.shape[axis]:
            y = _along(y, axis, n)
    out = scratch.empty(y.shape, dtype)
    out[...] = y
    return out


def _along(x: Array, axis: int, size: int) -> Array:
    """Bring one axis to `size`: a weighted sum over the few old pixels under each new one."""
    total: Array | None = None
    for pixels, weights in zip(*_taps(x.shape[axis], size), strict=True):
        part = x.take(pixels, axis=axis)
        part *= weights.astype(x.dtype).reshape(-1, *[1] * (3 - axis))
        total = part if total is None else np.add(total, part, out=total)
    return x if total is None else total


@cache
def _taps(old: int, new: int) -> tuple[Array, Array]:
    """Return old pixels (K, new) and their weights (K, new) for each new pixel."""
    places = np.arange(new)
    if new > old:
        centres = ((places + 0.5) * old / new - 0.5).clip(0, old - 1)
        first = centres.astype(np.intp)
        share = centres - first
        return np.array([first, np.minimum(first + 1, old - 1)]), np.array([1 - share, share])
    # in units of 1/new of an old pixel: new pixel j covers [j * old, (j + 1) * old)
    first = places * old // new
    count = int((-(-(places + 1) * old // new) - first).max())
    taps = first + np.arange(count)[:, None]
    ends = np.minimum((taps + 1) * new, (places + 1) * old)
    covered = ends - np.maximum(taps * new, places * old)
    return np.minimum(taps, old - 1), np.maximum(covered, 0) / old


def _border(y: Array, x: Array, padding: Pair, fill: float | None) -> None:
    """Copy images into the middle of y and fill what is around them."""
    (_, _, H, W), (ph, pw) = x.shape, padding
    rows, columns = slice(ph, ph + H), slice(pw, pw + W)
    y[:, :, rows, columns] = x
    for strip, edge in ((slice(0, ph), x[:, :, :1]), (slice(ph + H, None), x[:, :, -1:])):
        y[:, :, strip, columns] = edge if fill is None else fill
    for strip, nearest in ((slice(0, pw), pw), (slice(pw + W, None), pw + W - 1)):
        y[:, :, :, strip] = y[:, :, :, nearest : nearest + 1] if fill is None else fill
