"""Dropout."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Weights
from cnnkit.base import Backward, Context, Layer, Synonyms


class Dropout(Layer):
    """Inverted dropout: shape -> shape; the identity outside training.

    y = x * mask / (1 - rate), each mask value 0 with probability `rate` and else 1; with
    of = "channels", all values of a channel share one, which is called spatial dropout.
    Source: Srivastava et al., Dropout (2014); Tompson et al. (2015), for channels.

    >>> Dropout(rate=0.5).forward(np.ones((1, 6)), {}, Context(training=True))[0]
    array([[2., 0., 2., 2., 2., 0.]])
    """

    type: Literal["dropout"] = "dropout"
    synonyms: ClassVar[Synonyms] = {
        "dropout": "drop",
        'of = "channels"': "dropout2d spatialdropout spatialdropout2d channeldropout",
    }
    rate: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Fraction of the values, or of the channels, that is dropped."""
    of: Literal["values", "channels"] = "values"
    """What is dropped: single values, or whole channels of a map."""

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        if not ctx.training or self.rate == 0:
            return x, lambda dy: (dy, {})
        form = x.shape if self.of == "values" else (*x.shape[:2], *[1] * (x.ndim - 2))
        kept = ctx.rng().random(form, np.float32) >= self.rate
        mask = kept / x.dtype.type(1 - self.rate)
        return x * mask, lambda dy: (dy * mask, {})
