"""Depthwise-separable convolution."""

from typing import ClassVar, Literal, Self

from cnnkit.arrays import Shape
from cnnkit.base import Init, Layer, Pair, Positive, Synonyms, default
from cnnkit.base.layer import Block, Layers, image_shape
from cnnkit.layers.conv import Conv
from cnnkit.layers.padding import Padding
from cnnkit.layers.sequential import Sequential


class DepthwiseSeparable(Block):
    """Depthwise-separable convolution: (C, H, W) -> (filters, H', W').

    A convolution of each channel by itself, the layers `between`, and a 1x1 convolution across
    channels: 1 / filters + 1 / kernel area of a convolution's multiplications. As in Keras, the
    first has no bias and nothing lies between by default; MobileNet has ["batch_norm", "relu"].
    Source: Howard et al., MobileNets (2017), section 3.1.

    Raises:
        ShapeError: input is not an image, or the kernel does not fit.

    >>> DepthwiseSeparable(filters=64, stride=2).output_shape((32, 28, 28))
    (64, 14, 14)
    """

    type: Literal["depthwise_separable"] = "depthwise_separable"
    synonyms: ClassVar[Synonyms] = {
        "depthwise_separable": "separableconv separableconv2d separableconvolution dwconv "
        "depthwiseconv depthwiseconv2d depthwiseseparableconv"
    }
    filters: Positive
    """Number of output channels."""
    kernel: Pair = default((3, 3))
    """Side of the depthwise kernel, or [height, width]."""
    stride: Pair = default((1, 1))
    """Step of the depthwise convolution, or [down, across]."""
    padding: Padding = default("same")
    """Zeros around the map, as for `conv`."""
    between: Layers = default([])
    """The layers between the two convolutions, such as ["batch_norm", "relu"]."""
    bias: Literal["tied", "none"] = "tied"
    """One value per filter of the 1x1 convolution ("tied"), or "none"."""
    init: Init = default("he")
    """How the kernels of both are drawn."""

    def lower(self) -> Self:
        return self.changed(between=[layer.lower() for layer in self.between])

    def build(self, shape: Shape) -> Layer:
        C, _, _ = image_shape(shape)
        depthwise = Conv(
            filters=C,
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            groups=C,
            bias="none",
            init=self.init,
        )
        pointwise = Conv(filters=self.filters, kernel=1, bias=self.bias, init=self.init)
        return Sequential(layers=[depthwise, *self.between, pointwise])
