"""The built-in layers, registered through the same hook as anybody else's."""

from cnnkit.base import Layer
from cnnkit.hookspecs import hookimpl
from cnnkit.layers.batch_norm import BatchNorm as BatchNorm
from cnnkit.layers.conv import Conv as Conv
from cnnkit.layers.dense import Dense as Dense
from cnnkit.layers.depthwise_separable import DepthwiseSeparable as DepthwiseSeparable
from cnnkit.layers.dropout import Dropout as Dropout
from cnnkit.layers.flatten import Flatten as Flatten
from cnnkit.layers.gelu import Gelu as Gelu
from cnnkit.layers.global_pool import GlobalPool as GlobalPool
from cnnkit.layers.hard_swish import HardSwish as HardSwish
from cnnkit.layers.layer_norm import LayerNorm as LayerNorm
from cnnkit.layers.leaky_relu import LeakyRelu as LeakyRelu
from cnnkit.layers.parallel import Parallel as Parallel
from cnnkit.layers.pool import Pool as Pool
from cnnkit.layers.relu import Relu as Relu
from cnnkit.layers.residual import Residual as Residual
from cnnkit.layers.sequential import Sequential as Sequential
from cnnkit.layers.sigmoid import Sigmoid as Sigmoid
from cnnkit.layers.silu import Silu as Silu
from cnnkit.layers.softmax import Softmax as Softmax
from cnnkit.layers.squeeze_excite import SqueezeExcite as SqueezeExcite
from cnnkit.layers.tanh import Tanh as Tanh


@hookimpl
def cnnkit_layers() -> list[type[Layer]]:
    """Return the layers that come with cnnkit."""
    return [
        Conv, DepthwiseSeparable, Dense, Flatten, Pool, GlobalPool,
        Relu, LeakyRelu, Tanh, Sigmoid, Silu, Gelu, HardSwish, Softmax,
        BatchNorm, LayerNorm, Dropout, SqueezeExcite, Residual, Parallel, Sequential,
    ]  # fmt: skip
