"""Bugs in what a layer does to its arrays and scratch memory, and in where it draws."""

from __future__ import annotations

import itertools
import time
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


@planted("scratch_is_not_assumed_clean")
class TrustsZeros(Gain):
    """Adds to a scratch array as if it held zeros."""

    type: Literal["trusts_zeros"] = "trusts_zeros"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        out = ctx.scratch.empty(y.shape, y.dtype)
        out += y
        return out, back


@planted("scratch_is_not_assumed_clean")
class ReturnsTemp(Gain):
    """Returns a temp array, which the next layer overwrites."""

    type: Literal["returns_temp"] = "returns_temp"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return np.copyto(out := ctx.scratch.temp("gain.y", y.shape, y.dtype), y) or out, back


_ONES: dict = {}


@planted("scratch_can_be_reused")
class HoardsScratch(Gain):
    """Keeps a scratch array from an earlier shard."""

    type: Literal["hoards_scratch"] = "hoards_scratch"

    def forward(self, x, w, ctx):
        if (ctx.scratch, x.shape) not in _ONES:
            _ONES[ctx.scratch, x.shape] = ctx.scratch.empty(x.shape, x.dtype)
            _ONES[ctx.scratch, x.shape].fill(1)
        y, back = super().forward(x, w, ctx)
        out = ctx.scratch.empty(y.shape, y.dtype)
        np.multiply(y, 2, out=out)
        return out - y * _ONES[ctx.scratch, x.shape].astype(y.dtype), back


_LEAK: list = []


@planted("memory_is_freed")
class Leaks(Gain):
    """Every input is appended to a list in the module."""

    type: Literal["leaks"] = "leaks"

    def forward(self, x, w, ctx):
        _LEAK.append(x)
        return super().forward(x, w, ctx)


@planted("memory_is_freed")
class LeaksCopies(Gain):
    """Every output is copied into a list in the module."""

    type: Literal["leaks_copies"] = "leaks_copies"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        _LEAK.append(y.copy())
        return y, back


@planted("memory_is_freed")
class Cyclic(Gain):
    """A closure that refers to itself keeps x until the garbage collector comes."""

    type: Literal["cyclic"] = "cyclic"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)

        def backward(dy, again=True):
            return backward(dy, again=False) if again else back(dy)

        return y, backward


@planted("evaluation_is_deterministic")
class AlwaysNoisy(Gain):
    """Noise in evaluation as well as in training."""

    type: Literal["always_noisy"] = "always_noisy"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y + ctx.rng().standard_normal(x.shape), back


_COUNT = itertools.count()


@planted("randomness_comes_from_context")
class CountsSteps(Gain):
    """A generator seeded by the number of calls so far: a resumed run differs."""

    type: Literal["counts_steps"] = "counts_steps"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        rng = np.random.default_rng(next(_COUNT))
        return (y + rng.standard_normal(x.shape) if ctx.training else y), back


@planted("dropped_values_change")
class SameMask(Gain):
    """Drops channels by a mask of its own generator, the same in every step."""

    type: Literal["same_mask"] = "same_mask"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        kept = np.random.default_rng(0).random(x.shape[1]) > 0.5
        mask = along(kept if ctx.training else np.ones(x.shape[1]), x).astype(x.dtype)
        return y * mask, lambda dy: back(dy * mask)


@planted("backward_repeats_forwards_draw")
class DrawsTwice(Gain):
    """backward draws a mask of its own."""

    type: Literal["draws_twice"] = "draws_twice"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        rng = np.random.default_rng(next(_COUNT))
        return y, lambda dy: back(dy * (rng.random(dy.shape) < 0.5))


@planted("randomness_comes_from_context")
class Clockwork(Gain):
    """Noise seeded by the clock."""

    type: Literal["clockwork"] = "clockwork"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        rng = np.random.default_rng(time.perf_counter_ns())
        return (y + rng.standard_normal(x.shape) if ctx.training else y), back
