"""Bugs in a layer's randomness."""

from __future__ import annotations

import itertools
import time
from typing import Literal

import numpy as np
from planted import Gain, along, planted


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
