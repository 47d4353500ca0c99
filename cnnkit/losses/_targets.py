"""What the losses share: labels as target arrays, and the outputs a loss can judge."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Layer
from cnnkit.errors import ShapeError


def targets(labels: Array, y: Array) -> Array:
    """Return what `y` should be: labels (N,) as they are for (N, 1), else one-hot (N, K)."""
    wanted = np.zeros(y.shape, y.dtype)
    if y.shape[1] == 1:
        wanted[:, 0] = labels
    else:
        wanted[np.arange(len(labels)), labels] = 1
    return wanted


def check_outputs(loss: str, head: Layer, shape: Shape, classes: int, single: bool) -> None:
    """Refuse outputs that are not one per class; `single` also allows one for two classes.

    Raises:
        ShapeError: naming the loss, the shape it got and the shapes it takes.
    """
    allowed = [(1,), (classes,)] if single and classes == 2 else [(classes,)]
    if shape in allowed:
        return
    raise ShapeError(
        f"gives outputs of shape {shape}, which {loss} cannot compare with {classes} classes",
        option="units" if "units" in type(head).model_fields else "",
        expected="shape " + " or ".join(map(str, allowed)),
        help=f"end the network with {allowed[0][0]} output{'s' * (allowed[0][0] > 1)}",
    )
