"""The built-in layers, registered through the same hook as anybody else's."""

from cnnkit.base import Layer
from cnnkit.hookspecs import hookimpl
from cnnkit.layers.conv import Conv
from cnnkit.layers.dense import Dense
from cnnkit.layers.dropout import Dropout
from cnnkit.layers.flatten import Flatten
from cnnkit.layers.pool import Pool
from cnnkit.layers.relu import Relu
from cnnkit.layers.residual import Residual
from cnnkit.layers.sequential import Sequential
from cnnkit.layers.sigmoid import Sigmoid
from cnnkit.layers.softmax import Softmax

__all__ = [
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "Pool",
    "Relu",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softmax",
]


@hookimpl
def cnnkit_layers() -> list[type[Layer]]:
    """Return the layers that come with cnnkit."""
    return [
        Conv,
        Relu,
        Pool,
        Dense,
        Softmax,
        Sigmoid,
        Flatten,
        Dropout,
        Residual,
        Sequential,
    ]
