"""Arrays of images from .npy and .npz files."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy

from cnnkit.arrays import Array
from cnnkit.datasets.npz_file import read_npz
from cnnkit.datasets.problems import problem
from cnnkit.errors import DataError

_NAMES = ("images", "x_test", "x")
"""What images may be called in a file of several arrays; the first one found is taken."""


def read_array(file: Path) -> Array:
    """Return the file's array as uint8 or float32, whatever its shape.

    Raises:
        DataError: where it cannot be read, or holds other numbers than images have.
    """
    array = _npy(file) if file.suffix == ".npy" else read_npz(file, _name(file))
    if array.dtype.kind == "f":
        if np.isfinite(array).all():
            return array.astype(np.float32)
        raise problem(file, f"{file.name} holds NaN or infinity")
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255:
        return array.astype(np.uint8)
    raise problem(
        file,
        f"{file.name} does not hold images",
        expected="whole numbers within 0..255, or floats",
        got=f"{array.size} values of dtype {array.dtype}",
    )


def _npy(file: Path) -> Array:
    try:  # mapping allocates nothing, whatever size the header declares
        return np.asarray(npy.open_memmap(file, mode="r"))
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(file, error, "numpy.save") from error


def _name(file: Path) -> str:
    """Return the name of the array of images in an npz file."""
    try:
        with ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, BadZipFile) as error:
        raise _unreadable(file, error, "numpy.savez") from error
    known = [name for name in _NAMES if name in names]
    if len(names) == 1 or known:
        return known[0] if known else names[0]
    raise problem(
        file,
        f"{file.name} holds several arrays, and none is called {_NAMES[0]}",
        got=", ".join(names) or "no arrays",
        help=f"save the images alone, or call them {_NAMES[0]}",
    )


def _unreadable(file: Path, error: Exception, writer: str) -> DataError:
    reason = getattr(error, "strerror", None) or str(error)
    expected = f"what {writer} writes"
    return problem(file, f"cannot read {file.name}: {reason}", expected=expected)
