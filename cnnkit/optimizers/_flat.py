"""One-dimensional views, so that kernels see no shapes."""

from __future__ import annotations

from cnnkit.arrays import Array


def flat(array: Array) -> Array:
    """View a C-contiguous array as 1-D.

    Raises:
        ValueError: for other strides, where an update would change a copy and be lost.
    """
    return array.reshape(-1, copy=False)
