"""PReLU: a rectifier that learns how much of the negative side to let through."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cnnkit import hookimpl
from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Layer, Weight


class PRelu(Layer):
    """Parametric ReLU with one slope per channel: (C, ...) -> (C, ...).

    y = max(x, 0) + slope[c] * min(x, 0); dx = dy * (1 where x > 0, else slope[c]);
    dslope[c] = sum of dy * min(x, 0) over samples and positions.
    Source: He et al., Delving Deep into Rectifiers (2015), equations 1, 7 and 8.
    """

    type: Literal["prelu"] = "prelu"
    init: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Slope of the negative side that every channel starts from; 0 is ReLU."""

    def weights(self, shape: Shape) -> dict[str, Weight]:
        return {"slope": Weight(shape[:1], self.init)}

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        slope = w["slope"].reshape(-1, *[1] * (x.ndim - 2))  # (C, 1, ...), to go along x
        positive = x > 0

        def backward(dy: Array) -> tuple[Array, Weights]:
            positions = (0, *range(2, x.ndim))
            dslope = np.where(positive, 0, dy * x).sum(axis=positions)
            return np.where(positive, dy, dy * slope), {"slope": dslope}

        return np.where(positive, x, x * slope), backward


@hookimpl
def cnnkit_layers() -> list[type[Layer]]:
    """Return the layer that this plugin adds."""
    return [PRelu]
