"""Bugs in what a layer says of its counts, and in lower()."""

from __future__ import annotations

from math import prod
from typing import Literal

from planted import Gain, planted

from cnnkit.base import Layer, Macro
from cnnkit.layers import Sequential, Softmax


@planted("counts_are_true")
class ForgotTheShift(Gain):
    """weight_count leaves out b."""

    type: Literal["forgot_the_shift"] = "forgot_the_shift"

    def weight_count(self, shape):
        return shape[0]


@planted("counts_are_true")
class SquareWithoutCount(Layer):
    """A square matrix over all values, and no weight_count."""

    type: Literal["square_without_count"] = "square_without_count"

    def init_weights(self, shape, rng):
        return {"W": rng.standard_normal((prod(shape), prod(shape)))}

    def forward(self, x, w, ctx):
        flat = x.reshape(len(x), -1)

        def backward(dy):
            by_row = dy.reshape(len(dy), -1)
            return (by_row @ w["W"].T).reshape(x.shape), {"W": flat.T @ by_row}

        return (flat @ w["W"]).reshape(x.shape), backward


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
