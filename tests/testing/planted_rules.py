"""Bugs in what a layer says of its counts, and in lower()."""

from __future__ import annotations

from typing import Literal

import numpy as np
from planted import Gain, planted

from cnnkit.base import Macro, Weight
from cnnkit.layers import Sequential, Softmax


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
