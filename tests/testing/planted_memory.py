"""Bugs in how a layer uses memory: scratch arrays, and what it keeps alive."""

from __future__ import annotations

from typing import Literal

import numpy as np
from planted import Gain, planted


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
