"""MobileNet's blocks, as macros: each stands for convolutions, ReLUs and a residual."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

from pydantic import Field

from cnnkit import hookimpl
from cnnkit.arrays import Shape
from cnnkit.base import Layer, Macro, Pair, default, image_shape
from cnnkit.errors import ShapeError
from cnnkit.layers import Conv, Relu, Residual, Sequential

Channels = Annotated[int, Field(ge=1, le=65536)]


class Block(Macro, ABC):
    """What the blocks share: a depthwise convolution somewhere between pointwise ones."""

    channels: Channels
    """Number of channels that come in; a block is written out before it sees its input."""
    filters: Channels
    """Number of channels that go out."""
    kernel: Pair = default((3, 3))
    """Side of the depthwise kernel, or [height, width]."""
    stride: Pair = default((1, 1))
    """Step of the depthwise convolution, or [down, across]."""

    @abstractmethod
    def lower(self) -> Layer:
        """Return the layers that the block stands for."""

    def output_shape(self, shape: Shape) -> Shape:
        C, _, _ = image_shape(shape)
        if self.channels != C:
            raise ShapeError(
                f"is written for {self.channels} input channels, but is given {C}",
                option="channels",
                expected=f"channels = {C}",
                help="set channels to what the layer before puts out",
            )
        return self.lower().output_shape(shape)

    def depthwise(self, channels: int) -> Conv:
        """Return a convolution with one kernel per channel, H' = H / stride rounded up."""
        return Conv(
            filters=channels,
            kernel=self.kernel,
            stride=self.stride,
            padding="same",
            groups=channels,
        )


class SeparableConv(Block):
    """Depthwise-separable convolution: (channels, H, W) -> (filters, H', W').

    A depthwise convolution, a ReLU and a 1x1 convolution: about 1 / filters + 1 / kernel area of
    the multiplications of a plain convolution. No activation at the end.
    Source: Howard et al., MobileNets (2017), section 3.1.

    Raises:
        ShapeError: input is not an image, or of other channels.
    """

    type: Literal["separable_conv"] = "separable_conv"

    def lower(self) -> Layer:
        pointwise = Conv(filters=self.filters, kernel=(1, 1))
        layers: list[Layer] = [self.depthwise(self.channels), Relu(), pointwise]
        return Sequential(layers=layers, label=self.type)


class InvertedResidual(Block):
    """Inverted residual bottleneck: (channels, H, W) -> (filters, H', W').

    1x1 to `expand` times the channels, ReLU, depthwise, ReLU, 1x1 to `filters`, which ends
    linearly; with stride 1 and as many filters as channels, the input is added to that.
    Source: Sandler et al., MobileNetV2 (2018), table 1 (with ReLU for ReLU6).

    Raises:
        ShapeError: input is not an image, or of other channels.
    """

    type: Literal["inverted_residual"] = "inverted_residual"
    expand: Annotated[int, Field(ge=1, le=64)] = 6
    """How many times wider the middle is than the input."""

    def lower(self) -> Layer:
        wide = self.expand * self.channels
        body: list[Layer] = [
            Conv(filters=wide, kernel=(1, 1)),
            Relu(),
            self.depthwise(wide),
            Relu(),
            Conv(filters=self.filters, kernel=(1, 1)),
        ]
        keeps_shape = self.stride == (1, 1) and self.filters == self.channels
        layers: list[Layer] = [Residual(body=body)] if keeps_shape else body
        return Sequential(layers=layers, label=self.type)


@hookimpl
def cnnkit_layers() -> list[type[Layer]]:
    """Return the blocks that this plugin adds."""
    return [SeparableConv, InvertedResidual]
