"""Bugs in how a layer treats arrays: what it is given, its type and its strides."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from planted import Gain, along, planted


@planted("input_unmodified")
class InPlace(Gain):
    """x *= g: the input is overwritten."""

    type: Literal["in_place"] = "in_place"

    def forward(self, x, w, ctx):
        y, back = super().forward(x.copy(), w, ctx)
        x *= along(w["g"], x)
        return y, back


@planted("input_unmodified")
class ScratchesInput(Gain):
    """backward uses x as its scratch memory."""

    type: Literal["scratches_input"] = "scratches_input"

    def forward(self, x, w, ctx):
        y, back = super().forward(x.copy(), w, ctx)
        return y, lambda dy: (np.multiply(x, dy, out=x), back(dy))[1]


@planted("weights_unmodified")
class Decays(Gain):
    """Weight decay inside the layer."""

    type: Literal["decays"] = "decays"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, {name: a.copy() for name, a in w.items()}, ctx)
        w["g"] *= 0.999
        return y, back


@planted("dy_unmodified")
class ClipsGradient(Gain):
    """backward clips dy in place."""

    type: Literal["clips_gradient"] = "clips_gradient"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y, lambda dy: back(np.clip(dy, -1, 1, out=dy))


@planted("output_unmodified")
class ReusesOutput(Gain):
    """backward writes into y."""

    type: Literal["reuses_output"] = "reuses_output"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y, lambda dy: (np.multiply(dy, 2, out=y), back(dy))[1]


@planted("float32_stays_float32")
class Upcasts(Gain):
    """A float64 array pulls y up to float64."""

    type: Literal["upcasts"] = "upcasts"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y + np.zeros(x.shape), back


@planted("float32_stays_float32")
class UpcastsGradient(Gain):
    """One weight's gradient comes as float64."""

    type: Literal["upcasts_gradient"] = "upcasts_gradient"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)

        def backward(dy):
            dx, grads = back(dy)
            return dx, {**grads, "b": grads["b"].astype(np.float64)}

        return y, backward


@planted("float64_stays_float64")
class Downcasts(Gain):
    """Everything is computed in float32."""

    type: Literal["downcasts"] = "downcasts"

    def forward(self, x, w, ctx):
        return super().forward(
            x.astype(np.float32), {name: a.astype(np.float32) for name, a in w.items()}, ctx
        )


@planted("non_contiguous_input")
class AssumesStrides(Gain):
    """x is read as if it were C-contiguous."""

    type: Literal["assumes_strides"] = "assumes_strides"

    def forward(self, x, w, ctx):
        return super().forward(as_strided(x, strides=np.empty_like(x, order="C").strides), w, ctx)


@planted("non_contiguous_dy")
class AssumesStridesOfDy(Gain):
    """dy is read as if it were C-contiguous."""

    type: Literal["assumes_strides_of_dy"] = "assumes_strides_of_dy"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        strides = np.empty(y.shape, y.dtype).strides
        return y, lambda dy: back(as_strided(dy, strides=strides))
