"""Softmax, with or without a dense layer of its own."""

from typing import ClassVar, Literal

from cnnkit.kernels.softmax import softmax
from cnnkit.layers.activation import Activation


class Softmax(Activation):
    """Softmax over the last axis: shape -> shape, or with `units` a dense layer first.

    y_i = exp(x_i - max x) / sum over j of exp(x_j - max x); dx = y * (dy - sum of dy * y), the
    full Jacobian, so it goes with any loss. Cross-entropy fuses with it.

    >>> import numpy as np
    >>> from cnnkit.base import Context
    >>> Softmax().forward(np.log([[1.0, 3.0]]), {}, Context())[0]
    array([[0.25, 0.75]])
    """

    type: Literal["softmax"] = "softmax"
    probabilities: ClassVar[bool] = True
    activate = staticmethod(softmax)
