"""The kit for initializers."""

from __future__ import annotations

from itertools import product

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Fans, Initializer
from cnnkit.testing import options
from cnnkit.testing.check import Kit, require
from cnnkit.testing.manners import manners
from cnnkit.testing.tools import require_same

_SHAPES = ((7,), (4, 5), (3, 2, 3, 3))
_FANS = (Fans(18, 27, 9), Fans(1, 1, 1), Fans(10**6, 10, 10**6))


def _use(initializer: Initializer, seed: int = 0) -> None:
    for fans in _FANS:
        initializer.draw(_SHAPES[1], fans, np.random.default_rng(seed))


kit = Kit("initializer", options.kit, manners(_use))


@kit.check("draw float64 with rng; the model casts")
def draws_the_shape(initializer: Initializer, seed: int = 0) -> None:
    """draw gives finite float64 of the shape asked for, for small and large layers."""
    for shape, fans in product(_SHAPES, _FANS):
        drawn = initializer.draw(shape, fans, np.random.default_rng(seed))
        is_right = drawn.shape == shape and drawn.dtype == np.float64
        require(
            is_right and bool(np.isfinite(drawn).all()),
            f"draw({shape}, {fans}) is not finite float64 of that shape",
            expected=f"float64 {shape}",
            got=f"{drawn.dtype.name} {drawn.shape}",
        )


@kit.check("draw from the rng you are given, into a new array")
def same_rng_same_draw(initializer: Initializer, seed: int = 0) -> None:
    """Equal generators give equal arrays, which share no memory."""
    one, two = _draw(initializer, seed), _draw(initializer, seed)
    require_same(one, two, "the same rng gives another array")
    what, expected = "two draws share memory", "an array of its own for every weight"
    require(not np.shares_memory(one, two), what, expected=expected, got="one array")


@kit.check("draw from the rng you are given, never from one of your own")
def other_rng_other_draw(initializer: Initializer, seed: int = 0) -> None:
    """What looks random differs for another rng: seeds must matter."""
    one, two = _draw(initializer, seed), _draw(initializer, seed + 1)
    require(
        len(np.unique(one)) <= 2 or not np.array_equal(one, two),
        "the draw is the same for every rng",
        expected="other values for another seed",
        got="the same values",
    )


def check_initializer(initializer: Initializer, *, seed: int = 0) -> None:
    """Run every check on an initializer; its moments are for its own tests.

    Raises CheckFailure for the first that fails.
    """
    __tracebackhide__ = True
    kit.run(initializer, seed)


def _draw(initializer: Initializer, seed: int) -> Array:
    return initializer.draw(_SHAPES[2], _FANS[0], np.random.default_rng(seed))
