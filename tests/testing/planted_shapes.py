"""Bugs in what a layer says without being run: shapes, counts, what it lowers to."""

from __future__ import annotations

from typing import Literal

import numpy as np
from planted import Gain, planted

from cnnkit.base import Layer, Macro, Weight, image_shape
from cnnkit.layers import Sequential, Softmax


@planted("a_step_runs")
class OutputOnly(Gain):
    """forward returns y and no backward."""

    type: Literal["output_only"] = "output_only"

    def forward(self, x, w, ctx):
        return super().forward(x, w, ctx)[0]


@planted("a_step_runs")
class BareDx(Gain):
    """backward returns dx without a tree."""

    type: Literal["bare_dx"] = "bare_dx"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y, lambda dy: back(dy)[0]


class Thin(Layer):
    """Every second column: (C, H, W) -> (C, H, (W + 1) // 2)."""

    type: Literal["thin"] = "thin"

    def output_shape(self, shape):
        C, H, W = image_shape(shape)
        return C, H, (W + 1) // 2

    def forward(self, x, w, ctx):
        def backward(dy):
            dx = np.zeros(x.shape, x.dtype)
            dx[..., ::2] = dy
            return dx, {}

        return x[..., ::2].copy(), backward


@planted("declared_shape_is_plain")
class NumPyInts(Thin):
    """output_shape returns NumPy integers."""

    type: Literal["numpy_ints"] = "numpy_ints"

    def output_shape(self, shape):
        return tuple(np.array(super().output_shape(shape)))


@planted("declared_shape_is_plain")
class WithBatchAxis(Thin):
    """output_shape puts None first, for the batch."""

    type: Literal["with_batch_axis"] = "with_batch_axis"

    def output_shape(self, shape):
        return (None, *super().output_shape(shape))


@planted("declared_shape_is_real")
class FloorRule(Thin):
    """output_shape rounds down where forward rounds up: right for even widths only."""

    type: Literal["floor_rule"] = "floor_rule"

    def output_shape(self, shape):
        C, H, W = image_shape(shape)
        return C, H, max(1, W // 2)


@planted("declared_shape_is_real")
class Swapped(Thin):
    """output_shape swaps height and width."""

    type: Literal["swapped"] = "swapped"

    def output_shape(self, shape):
        C, H, W = super().output_shape(shape)
        return C, W, H


@planted("wrong_rank_refused")
class Unpacking(Thin):
    """A shape of two axes raises ValueError instead of ShapeError."""

    type: Literal["unpacking"] = "unpacking"

    def output_shape(self, shape):
        C, H, W = shape
        return C, H, (W + 1) // 2


@planted("wrong_rank_refused")
class Unsuspecting(Thin):
    """Any rank is accepted, and forward fails on it."""

    type: Literal["unsuspecting"] = "unsuspecting"

    def output_shape(self, shape):
        return (*shape[:-1], (shape[-1] + 1) // 2)

    def forward(self, x, w, ctx):
        _N, _C, _H, _W = x.shape
        return super().forward(x, w, ctx)


@planted("shape_needs_no_arrays")
class RunsData(Thin):
    """output_shape runs zeros through the layer."""

    type: Literal["runs_data"] = "runs_data"

    def output_shape(self, shape):
        image_shape(shape)
        return np.zeros(shape)[..., ::2].shape


@planted("lowering_is_final")
class ForgotTheShift(Macro):
    """weights leaves out the b of the layers that it lowers to."""

    type: Literal["forgot_the_shift"] = "forgot_the_shift"

    def lower(self):
        return Gain()

    def weights(self, shape):
        return {"g": Gain().weights(shape)["g"]}


@planted("shape_needs_no_arrays")
class DrawsAhead(Gain):
    """A mask of the whole map, made where it should only be declared."""

    type: Literal["draws_ahead"] = "draws_ahead"

    def weights(self, shape):
        mask = np.ones(shape, np.float32)
        return {**super().weights(shape), "mask": Weight(mask.shape, 1.0, learns=False)}


@planted("counts_are_true")
class HalfAMac(Gain):
    """macs returns a float."""

    type: Literal["half_a_mac"] = "half_a_mac"

    def macs(self, shape):
        return shape[0] / 2


@planted("lowering_is_final")
class HalfLowered(Macro):
    """lower() leaves an inner macro as it is."""

    type: Literal["half_lowered"] = "half_lowered"

    def lower(self):
        return Sequential(layers=[Softmax(units=3)])


@planted("lowering_is_final")
class ShapeShifter(Gain):
    """lower() returns layers of another output shape."""

    type: Literal["shape_shifter"] = "shape_shifter"

    def lower(self):
        return Softmax(units=3).lower()
