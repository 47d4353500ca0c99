"""Gabor: a first layer of fixed edge and bar detectors."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cnnkit import hookimpl
from cnnkit.arrays import Array, Shape, Weights
from cnnkit.base import Backward, Context, Fans, Initializer, Layer, Weight, image_shape
from cnnkit.kernels.conv import ConvGeometry, conv, same_padding


class Gabor(Layer):
    """Gabor filter bank, never trained: (C, H, W) -> (filters, H, W), on the mean of the channels.

    g(u, v) = exp(-(u**2 + (aspect * v)**2) / (2 * sigma**2)) * cos(2 pi u / wavelength), with
    (u, v) the position turned by k * pi / orientations, k = 0, 1, ...; odd filters have sin for
    cos. Each filter is shifted to mean 0 and scaled to norm 1: a flat patch gives 0.

    Source: Daugman, Uncertainty Relation for Resolution in Space, Spatial Frequency, and
    Orientation Optimized by Two-Dimensional Visual Cortical Filters (1985).

    Raises:
        ShapeError: input is not an image.
    """

    type: Literal["gabor"] = "gabor"

    orientations: Annotated[int, Field(ge=1, le=180)] = 4
    """Number of directions, evenly spaced over half a turn; the first sees upright stripes."""
    phase: Literal["even", "odd", "both"] = "both"
    """"even" finds bars, "odd" finds edges, "both" has a filter of each per direction."""
    kernel: Annotated[int, Field(ge=3, le=63)] = 7
    """Side of the filters, in pixels."""
    wavelength: Annotated[float, Field(ge=2.5, le=1000)] = 4.0
    """Width of a bright and a dark stripe together, in pixels."""
    sigma: Annotated[float, Field(ge=0.5, le=1000)] = 2.0
    """Standard deviation of the Gaussian window across the stripes, in pixels."""
    aspect: Annotated[float, Field(ge=0.1, le=10)] = 0.5
    """How much shorter the window is along the stripes than across: below 1 it is longer."""

    @property
    def filters(self) -> int:
        """Number of output channels: all even filters first, then the odd ones."""
        return self.orientations * (2 if self.phase == "both" else 1)

    def output_shape(self, shape: Shape) -> Shape:
        _, H, W = image_shape(shape)
        return self.filters, H, W

    def weights(self, shape: Shape) -> dict[str, Weight]:
        form = (self.filters, shape[0], self.kernel, self.kernel)
        return {"W": Weight(form, Bank(gabor=self), learns=False)}

    def macs(self, shape: Shape) -> int:
        return self.filters * self.kernel**2 * prod(shape)

    def bank(self) -> Array:
        """Return the filters, (filters, kernel, kernel), each of mean 0 and norm 1."""
        at = np.arange(self.kernel) - (self.kernel - 1) / 2
        turn = np.pi * np.arange(self.orientations)[:, None, None] / self.orientations
        u = at * np.cos(turn) + at[:, None] * np.sin(turn)  # (orientations, kernel, kernel)
        v = at[:, None] * np.cos(turn) - at * np.sin(turn)
        window = np.exp(-(u**2 + (self.aspect * v) ** 2) / (2 * self.sigma**2))
        angle = 2 * np.pi * u / self.wavelength
        waves = {"even": [np.cos(angle)], "odd": [np.sin(angle)]}
        waves["both"] = waves["even"] + waves["odd"]
        bank = np.concatenate([window * wave for wave in waves[self.phase]])
        bank -= bank.mean(axis=(1, 2), keepdims=True)
        bank /= np.linalg.norm(bank, axis=(1, 2), keepdims=True)
        return bank

    def forward(self, x: Array, w: Weights, ctx: Context) -> tuple[Array, Backward]:
        y, back = conv(x, w["W"], None, self._geometry(x.shape[1:]), ctx.scratch, ctx.wants_dx)

        def backward(dy: Array) -> tuple[Array, Weights]:
            dx = back(dy)[0] if ctx.wants_dx else None
            return (dy if dx is None else dx), {}  # as a first layer, nobody reads dx

        return y, backward

    def _geometry(self, shape: Shape) -> ConvGeometry:
        _, H, W = shape
        rows, columns = (same_padding(side, self.kernel, 1, 1) for side in (H, W))
        return ConvGeometry((self.kernel, self.kernel), (1, 1), (1, 1), (rows, columns), 1)


class Bank(Initializer):
    """A Gabor layer's filters, shared out over the input channels; not for specs."""

    type: Literal["gabor_bank"] = "gabor_bank"
    gabor: Gabor

    def draw(self, shape: Shape, fans: Fans, rng: np.random.Generator) -> Array:
        return np.repeat(self.gabor.bank()[:, None] / shape[1], shape[1], axis=1)


@hookimpl
def cnnkit_layers() -> list[type[Layer]]:
    """Return the layer that this plugin adds."""
    return [Gabor]
