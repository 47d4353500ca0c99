"""Sigmoid, with or without a dense layer of its own."""

from typing import Literal

from cnnkit.kernels.sigmoid import sigmoid
from cnnkit.layers.activation import Activation


class Sigmoid(Activation):
    """Logistic sigmoid: shape -> shape, or with `units` a dense layer first: shape -> (units,).

    y = 1 / (1 + exp(-x)), computed so that no exponential overflows; dx = dy * y * (1 - y).

    >>> import numpy as np
    >>> from cnnkit.base import Context
    >>> Sigmoid().forward(np.log([[1.0, 3.0]]), {}, Context())[0]
    array([[0.5 , 0.75]])
    """

    type: Literal["sigmoid"] = "sigmoid"
    activate = staticmethod(sigmoid)
