"""Convolution."""

from math import prod
from typing import ClassVar, Literal

from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import (
    Backward,
    Context,
    Fans,
    Init,
    Layer,
    Pair,
    Positive,
    Synonyms,
    Weight,
    default,
)
from cnnkit.base.layer import image_shape
from cnnkit.errors import ShapeError
from cnnkit.kernels.conv import ConvGeometry, conv
from cnnkit.layers.padding import Padding, pads


class Conv(Layer):
    """Convolution: (C, H, W) -> (filters, H', W').

    y[f] = b[f] + sum over c, i, j of W[f, c, i, j] * x[c, h*stride + i*dilation, ...], the
    cross-correlation that the field calls convolution. H' = (H + top + bottom - dilation *
    (kernel - 1) - 1) // stride + 1. With `groups`, filters see only their share of the channels.

    Raises:
        ShapeError: input is not an image, the kernel does not fit, groups do not divide.

    >>> Conv(filters=6, kernel=5, padding="same").output_shape((1, 28, 28))
    (6, 28, 28)
    """

    type: Literal["conv"] = "conv"
    synonyms: ClassVar[Synonyms] = {
        "conv": "convolution convolutional conv2d convolution2d convlayer"
    }
    filters: Positive
    """Number of output channels."""
    kernel: Pair
    """Side of the kernel, or [height, width]; odd or even."""
    stride: Pair = default((1, 1))
    """Step between kernel positions, or [down, across]."""
    padding: Padding = default("valid")
    """Zeros around the map: "same" (H' = H/stride, rounded up), "valid" (none), an amount,
    [h, w], or [[top, bottom], [left, right]]."""
    dilation: Pair = default((1, 1))
    """Distance between kernel taps, or [down, across]."""
    groups: Positive = 1
    """Number of groups that channels and filters are split into; channels make it depthwise."""
    bias: Literal["tied", "untied", "none"] = "tied"
    """One value per filter ("tied"), one per output position ("untied"), or "none"."""
    init: Init = default("he")
    """How the kernels are drawn."""
    bias_init: Init = default("zeros")
    """How the bias is drawn."""

    def _geometry(self, shape: Shape) -> ConvGeometry:
        walk = self.kernel, self.stride, self.dilation
        return ConvGeometry(*walk, pads(self.padding, shape[1:], *walk), self.groups)

    def _padded(self, shape: Shape) -> tuple[int, int]:
        (_, H, W), (rows, columns) = shape, self._geometry(shape).padding
        return H + sum(rows), W + sum(columns)

    def output_shape(self, shape: Shape) -> Shape:
        C, H, W = image_shape(shape)
        self._check_groups(C)
        down, across = self._geometry(shape).output(H, W)
        if down < 1 or across < 1:
            raise self._too_large(shape)
        return self.filters, down, across

    def _check_groups(self, C: int) -> None:
        for count, what in ((C, "input channels"), (self.filters, "filters")):
            if count % self.groups:
                raise ShapeError(
                    f"cannot split {count} {what} into {self.groups} groups",
                    option="groups",
                    expected=f"a divisor of {count}",
                    help="choose groups that divide both the input channels and the filters",
                )

    def _too_large(self, shape: Shape) -> ShapeError:
        down, across = (d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True))
        dilated = "" if self.dilation == (1, 1) else f" with dilation {_side(self.dilation)}"
        room = self._padded(shape)
        most = min(room) if down == across else f"{room[0]}x{room[1]}"
        padding = f'"{self.padding}"' if isinstance(self.padding, str) else f"{self.padding}"
        what = "kernel" if not dilated else "dilation * (kernel - 1) + 1"
        return ShapeError(
            f"cannot cover its input: kernel {_side(self.kernel)}{dilated} does not fit the "
            f"{shape[1]}x{shape[2]} map",
            option="dilation" if dilated else "kernel",
            expected=f"{what} <= {most} with padding {padding}",
            help=f'use padding = "same", a smaller kernel{" or dilation" if dilated else ""}, '
            "or drop a pool before it",
        )

    def weights(self, shape: Shape) -> dict[str, Weight]:
        C, (kh, kw) = shape[0] // self.groups, self.kernel
        fans = Fans(C * kh * kw, self.filters // self.groups * kh * kw, kh * kw)
        W = Weight((self.filters, C, kh, kw), self.init, fans)
        if self.bias == "none":
            return {"W": W}
        form = self.output_shape(shape) if self.bias == "untied" else (self.filters,)
        fans = Fans(fans.fan_in, fans.fan_out, prod(self._padded(shape)))
        return {"W": W, "b": Weight(form, self.bias_init, fans, decays=False)}

    def macs(self, shape: Shape) -> int:
        return prod(self.weights(shape)["W"].shape) * prod(self.output_shape(shape)[1:])

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        geometry = self._geometry(x.shape[1:])
        y, back = conv(x, w["W"], w.get("b"), geometry, ctx.scratch, ctx.wants_dx)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx, dW, db = back(dy)
            dx = dy if dx is None else dx  # nobody reads it then
            return dx, {"W": dW} if db is None else {"W": dW, "b": db}

        return y, backward


def _side(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
