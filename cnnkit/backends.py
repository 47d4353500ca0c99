"""The built-in backend, registered through the same hook as anybody else's."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from cnnkit.base import Backend, Layer
from cnnkit.hookspecs import hookimpl


class Numpy(Backend):
    """Runs every layer as it is written: the default, and what the others are held against."""

    type: Literal["numpy"] = "numpy"
    processes: ClassVar[bool] = True

    def fuse(
        self, steps: Sequence[tuple[str, Layer]], dtype: np.dtype[Any], training: bool
    ) -> Sequence[tuple[str, Layer]]:
        return steps


@hookimpl
def cnnkit_backends() -> list[type[Backend]]:
    """Return the backend that comes with cnnkit."""
    return [Numpy]
