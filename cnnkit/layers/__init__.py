"""The built-in layers, registered through the same hook as anybody else's."""

from cnnkit.base import Layer
from cnnkit.hookspecs import hookimpl
from cnnkit.layers.conv import Conv as Conv
from cnnkit.layers.dense import Dense as Dense
from cnnkit.layers.dropout import Dropout as Dropout
from cnnkit.layers.flatten import Flatten as Flatten
from cnnkit.layers.pool import Pool as Pool
from cnnkit.layers.relu import Relu as Relu
from cnnkit.layers.residual import Residual as Residual
from cnnkit.layers.sequential import Sequential as Sequential
from cnnkit.layers.sigmoid import Sigmoid as Sigmoid
from cnnkit.layers.softmax import Softmax as Softmax


@hookimpl
def cnnkit_layers() -> list[type[Layer]]:
    """Return the layers that come with cnnkit."""
    return [Conv, Relu, Pool, Dense, Softmax, Sigmoid, Flatten, Dropout, Residual, Sequential]
