"""What softmax and sigmoid share: an activation that may own the dense layer before it."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from cnnkit.arrays import Array, Scratch, Shape, Weights
from cnnkit.base import Backward, Context, Init, Layer, Positive, WeightTree, default
from cnnkit.layers.dense import Dense
from cnnkit.layers.sequential import Sequential


class Activation(Layer, ABC):
    """An elementwise or row-wise function, lowered to dense + itself where `units` is given."""

    units: Positive | None = None
    """With units, a dense layer with that many outputs comes first."""
    init: Init = default("glorot")
    """How the dense layer's W is drawn; of no effect without units."""
    bias_init: Init = default("zeros")
    """How the dense layer's b is drawn; of no effect without units."""

    @staticmethod
    @abstractmethod
    def activate(x: Array, scratch: Scratch) -> tuple[Array, Callable[[Array], Array]]:
        """Return y and the function dy -> dx."""

    def lower(self) -> Layer:
        if self.units is None:
            return self
        dense = Dense(units=self.units, init=self.init, bias_init=self.bias_init)
        return Sequential(layers=[dense, type(self)(type=self.type)], label=self.type)

    def output_shape(self, shape: Shape) -> Shape:
        return shape if self.units is None else (self.units,)

    def weights(self, shape: Shape) -> WeightTree:
        return {} if self.units is None else self.lower().weights(shape)

    def macs(self, shape: Shape) -> int:
        return 0 if self.units is None else self.lower().macs(shape)

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        if self.units is not None:
            return self.lower().forward(x, w, ctx)
        y, back = self.activate(x, ctx.scratch)
        return y, lambda dy: (back(dy), {})
