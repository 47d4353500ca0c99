"""The kit for transforms."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Arena, Array, Shape
from cnnkit.base import Transform
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import require_close, require_same
from cnnkit.testing.failure import require
from cnnkit.testing.manners import manner_checks
from cnnkit.testing.option_checks import OPTION_CHECKS
from cnnkit.testing.scratch import HostileScratch
from cnnkit.testing.transform_dtype_checks import TRANSFORM_DTYPE_CHECKS
from cnnkit.testing.transform_samples import BATCH, applied, images


@check
def transform_shape_is_real(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    """apply gives (N, *output_shape) for uint8 and float images, one or several."""
    for dtype in (np.uint8, np.float32):
        for N in (1, BATCH):
            got = applied(transform, images(shape, seed, dtype)[:N], seed).shape
            wanted = (N, *transform.output_shape(shape))
            require(
                got == wanted,
                f"output_shape is wrong for {N} {np.dtype(dtype).name} images of {shape}",
                expected=str(wanted),
                got=str(got),
                fix="make output_shape compute what apply does; keep axis 0 for images",
            )


@check
def transform_input_unmodified(
    transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0
) -> None:
    """The images are left as they were: the next epoch needs them."""
    for dtype in (np.uint8, np.float32):
        x, before = images(shape, seed, dtype), images(shape, seed, dtype)
        applied(transform, x, seed)
        fix = "write into scratch.empty(...) or a new array, never into x"
        require_same(before, x, "apply changes the images", fix=fix)


@check
def transform_of_singles(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    """A transform that is not random treats every image alone."""
    if transform.random:
        return
    x = images(shape, seed, np.float32)
    singles = np.concatenate([applied(transform, x[i : i + 1], seed) for i in range(BATCH)])
    fix = "keep axis 0 for images; shards are cut anywhere"
    _same(singles, applied(transform, x, seed), "y of a batch is not that of its images", fix)


@check
def transform_non_contiguous(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    """Images may have any strides."""
    x = images(shape, seed, np.float32)
    view = np.repeat(x, 2, axis=-1)[..., ::2]
    fix = "use x.shape and indexing, never x.data or x.strides"
    what = "y changes where x is a view that is not contiguous"
    _same(applied(transform, x, seed), applied(transform, view, seed), what, fix)


@check
def transform_scratch(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    """Scratch memory holds anything at first, and is used again for the next shard."""
    x, arena = images(shape, seed, np.float32), Arena()
    wanted = applied(transform, x, seed)
    hostile = HostileScratch()
    got = applied(transform, x, seed, hostile)
    hostile.spoil()
    fix = "fill scratch arrays before reading them; return scratch.empty, never scratch.temp"
    _same(wanted, got, "y depends on what a scratch array held before", fix)
    for _ in range(2):
        arena.reset()
        _same(wanted, applied(transform, x, seed, arena), "y changes in reused scratch memory", fix)


@check
def transform_randomness(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    """Randomness comes from the rng alone, and only where `random` says so."""
    x = images(shape, seed, np.float32)
    one, two = (applied(transform, x, seed, HostileScratch()) for _ in range(2))
    fix = "draw from rng; where `random` is False, rng is None"
    _same(one, two, "equal generators give different images", fix)
    others = (applied(transform, x, seed + i) for i in range(1, 9))
    require(
        not transform.random or any(not np.array_equal(one, other) for other in others),
        "`random` is True, but the rng changes nothing",
        expected="other images for another rng",
        got="the same images for 9 generators",
        fix="draw from rng, or leave out `random`",
    )


def _use(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    for dtype in (np.uint8, np.float32):
        x = images(shape, seed, dtype)
        applied(transform, x, seed)
        applied(transform, x * 0, seed)


TRANSFORM_CHECKS: tuple[Check, ...] = (
    *OPTION_CHECKS,
    *manner_checks(_use),
    transform_shape_is_real,
    transform_input_unmodified,
    *TRANSFORM_DTYPE_CHECKS,
    transform_randomness,
    transform_scratch,
    transform_non_contiguous,
    transform_of_singles,
)


def check_transform(transform: Transform, shape: Shape = (1, 8, 8), *, seed: int = 0) -> None:
    """Run every check on a transform, for images of `shape` (C, H, W).

    Raises:
        CheckFailure: for the first check that fails; it says what to mend.
    """
    __tracebackhide__ = True
    for one in TRANSFORM_CHECKS:
        one(transform, shape, seed)


def _same(wanted: Array, got: Array, what: str, fix: str) -> None:
    require_close({"y": wanted}, {"y": got}, what, expected="the same values", fix=fix)
