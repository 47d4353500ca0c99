"""Pictures of arrays: PNG files as text that stands inside a page, written without Pillow."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from cnnkit.arrays import Array
from cnnkit.values import Range

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE = ("08204f", "33528c", "7b7d84", "cdb056", "ffec5c")
"""Blue, grey, yellow: told apart by lightness alone, and by all kinds of colour vision; so print
without colour shows them, too. After Nunez et al., Optimizing colormaps (2018), cividis."""
_STEPS = 40
"""Colours on either side of grey: fewer than eyes tell apart side by side, and small files."""
_STOPS = np.array([[int(hue[i : i + 2], 16) for i in (0, 2, 4)] for hue in _PALETTE], float)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of a page.

    Args:
        source: a data URI.
        alt: what it shows, for those who do not see it.
        width, height: in its own pixels.
        caption: what stands below it.
    """

    source: str
    alt: str
    width: int
    height: int
    caption: str = ""


def png(pixels: Array) -> bytes:
    """Return a PNG file of (H, W) greys or (H, W, 3) colours, uint8; of few colours, they are
    numbered, for a third of the size.

    Source: ISO/IEC 15948, Portable Network Graphics.
    """
    height, width = pixels.shape[:2]
    kind, palette = (2 if pixels.ndim == 3 else 0), b""
    if kind == 2 and height * width > 256:
        packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
        colours, numbers = np.unique(packed, return_inverse=True)
        if len(colours) <= 256:
            kind, pixels = 3, numbers.reshape(height, width).astype(np.uint8)
            palette = colours.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    rows = pixels.reshape(height, -1)
    filtered = np.zeros((height, rows.shape[1] + 1), np.uint8)  # each row begins with its filter
    filtered[:, 1:] = rows
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
        *([(b"PLTE", palette)] if palette else []),
        (b"IDAT", zlib.compress(filtered.tobytes(), 9)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def picture(pixels: Array, alt: str, caption: str = "", most: int = 96) -> Picture:
    """Return a picture of (H, W) or (H, W, 3) uint8, thinned out to `most` pixels a side."""
    step = -(-max(pixels.shape[:2]) // most)
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    source = "data:image/png;base64," + base64.b64encode(png(pixels)).decode()
    return Picture(source, alt, pixels.shape[1], pixels.shape[0], caption)


def pixels_of(image: Array, low_high: Range) -> Array:
    """Return an image (C, H, W) of values within `low_high` as (H, W) or (H, W, 3) uint8; of other
    numbers of channels, the first is shown, and of anything flat a row."""
    image = image.reshape(1, 1, -1) if image.ndim != 3 else image
    low, high = low_high
    scaled = (image.astype(np.float32) - low) * (255 / max(high - low, 1e-9))
    whole = np.clip(np.nan_to_num(scaled), 0, 255).round().astype(np.uint8)
    return np.moveaxis(whole, 0, -1) if len(image) == 3 else whole[0]


def signed(values: Array, limit: float) -> Array:
    """Return (H, W) numbers as colours (H, W, 3): blue below 0, grey at 0, yellow above.

    Args:
        limit: the size of what gets the full colour.
    """
    place = np.nan_to_num(values.astype(np.float64) / (limit or 1.0))
    steps = (np.clip(place, -1, 1) * _STEPS).round() / _STEPS
    at = (steps + 1) * (len(_STOPS) - 1) / 2
    low = np.minimum(at.astype(int), len(_STOPS) - 2)
    share = (at - low)[..., None]
    colours: Array = (_STOPS[low] * (1 - share) + _STOPS[low + 1] * share).round()
    return colours.astype(np.uint8)


def largest(values: Array) -> float:
    """Return the largest size among the finite values, 1 where that is 0."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size and finite.max() > 0 else 1.0


def beside(tiles: list[Array], gap: int = 1) -> Array:
    """Return pictures (h, w, 3) of one size side by side, with `gap` white columns between."""
    parts = []
    for tile in tiles:
        parts += [np.full((tile.shape[0], gap, *tile.shape[2:]), 255, np.uint8), tile]
    return np.concatenate(parts[1:], axis=1)
