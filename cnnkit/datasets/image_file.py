"""Read pictures with Pillow, which comes with the extra [images]."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from cnnkit.arrays import Array
from cnnkit.datasets.problems import problem
from cnnkit.datasets.reading import content
from cnnkit.errors import DataError, DataUnavailable

Mode = Literal["grayscale", "rgb"]

_DEEP = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})  # Pillow's names


def read_pictures(paths: list[Path], mode: Mode, size: tuple[int, int] | None) -> Array:
    """Return pictures (N, C, H, W) uint8.

    Args:
        size: (height, width) to resize each to; None where all have the size of the first.

    Raises:
        DataError: naming the picture that cannot be read, or is of another size.
    """
    first = read_picture(paths[0], mode, size)
    pictures = np.empty((len(paths), *first.shape), np.uint8)
    for index, path in enumerate(paths):
        picture = read_picture(path, mode, size)
        if picture.shape != first.shape:
            raise problem(
                path,
                f"{path.name} has another size than the pictures before it",
                expected=f"height and width {first.shape[1:]}, as in {paths[0]}",
                got=str(picture.shape[1:]),
                help=f"resize all of them: size = {list(first.shape[1:])} in [data]",
            )
        pictures[index] = picture
    return pictures


def read_picture(path: Path, mode: Mode, size: tuple[int, int] | None) -> Array:
    """Return one picture (C, H, W) uint8, C = 3 for "rgb" and 1 for "grayscale".

    Raises:
        DataError: where Pillow is missing, or cannot read the picture.
    """
    try:
        import PIL.Image
    except ImportError as error:
        raise problem(
            path, "reading pictures needs Pillow", help='pip install "cnnkit[images]"'
        ) from error
    with _there(path) as raw:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
                return _decode(raw, path, mode, size)
        except DataError:
            raise
        except Exception as error:  # Pillow raises a dozen types on damaged bytes
            raise problem(
                path,
                f"{path.name} is not a picture that can be read, or is damaged",
                got=f"{type(error).__name__}: {error}",
                help="open it in a picture viewer; mend it, or leave it out",
            ) from error


@contextmanager
def _there(path: Path) -> Iterator[BinaryIO]:
    """Yield a picture's bytes; one that is gone is damage: the other pictures are there."""
    try:
        with content(path) as raw:
            yield raw
    except DataUnavailable as error:
        raise DataError(str(error)) from error


def _decode(raw: BinaryIO, path: Path, mode: Mode, size: tuple[int, int] | None) -> Array:
    from PIL import Image, ImageOps

    with Image.open(raw) as image:
        image.verify()  # compares a PNG's checksums, which decoding does not
    raw.seek(0)
    with Image.open(raw) as image:
        if image.mode in _DEEP:
            raise problem(
                path,
                f"{path.name} has more than 8 bits per channel",
                expected="8 bits",
                got=f"mode {image.mode}",
                help="save it with 8 bits per channel",
            )
        upright = ImageOps.exif_transpose(image).convert("RGB" if mode == "rgb" else "L")
        if size is not None and upright.size != size[::-1]:
            upright = upright.resize(size[::-1], Image.Resampling.BILINEAR)
        pixels = np.array(upright)  # (H, W) or (H, W, 3)
    return pixels[None] if mode == "grayscale" else pixels.transpose(2, 0, 1)
