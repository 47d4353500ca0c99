"""The kit for transforms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Arena, Array, Scratch, Shape
from cnnkit.base import Transform
from cnnkit.testing import options
from cnnkit.testing.check import Kit, require
from cnnkit.testing.manners import add_manners
from cnnkit.testing.tools import CLEAN, HostileScratch, difference, require_close, require_same

kit = Kit("transform", options.kit)

_ROUNDING = 2 / 255
"""Share of the values' range that rounding to whole numbers, twice, may cost."""
BATCH = 5
"""Images per shard."""


def _use(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    for dtype in (np.uint8, np.float32):
        x = images(shape, seed, dtype)
        applied(transform, x, seed)
        applied(transform, x * 0, seed)


add_manners(kit, _use)


@kit.check
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


@kit.check
def transform_input_unmodified(
    transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0
) -> None:
    """The images are left as they were: the next epoch needs them."""
    for dtype in (np.uint8, np.float32):
        x, before = images(shape, seed, dtype), images(shape, seed, dtype)
        applied(transform, x, seed)
        fix = "write into scratch.empty(...) or a new array, never into x"
        require_same(before, x, "apply changes the images", fix=fix)


@kit.check
def transform_dtype(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    """Floats keep their dtype; uint8 stays uint8 or becomes float32."""
    for given, allowed in (("uint8", ("uint8", "float32")), ("float32", ("float32",))):
        got = applied(transform, images(shape, seed, given), seed).dtype.name
        require(
            got in allowed,
            f"{given} images come out as {got}",
            expected=" or ".join(allowed),
            got=got,
            fix="compute in float32; make constants of the output's dtype",
        )


@kit.check
def transform_bytes_equal_floats(
    transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0
) -> None:
    """Images of uint8 give what the same values in float32 give, but for rounding."""
    whole, exact = (applied(transform, images(shape, seed, t), seed) for t in ("uint8", "float32"))
    if whole.dtype == np.uint8:
        exact = exact.clip(0, 255)
    far = np.abs(whole - exact) > _ROUNDING * np.ptp(exact)
    require(
        not far.any(),
        "uint8 images give other values than the same images in float32",
        expected="the same, but for rounding, and for values beyond 0..255 where uint8 comes out",
        got=difference(np.where(far, exact, whole), whole.astype(np.float32)),
        fix="write x.astype(np.float32) before any arithmetic, as uint8 wraps around; "
        "clip before going back",
    )


@kit.check
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


@kit.check
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


@kit.check
def transform_non_contiguous(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    """Images may have any strides."""
    x = images(shape, seed, np.float32)
    view = np.repeat(x, 2, axis=-1)[..., ::2]
    fix = "use x.shape and indexing, never x.data or x.strides"
    what = "y changes where x is a view that is not contiguous"
    _same(applied(transform, x, seed), applied(transform, view, seed), what, fix)


@kit.check
def transform_of_singles(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    """A transform that is not random treats every image alone."""
    if transform.random:
        return
    x = images(shape, seed, np.float32)
    singles = np.concatenate([applied(transform, x[i : i + 1], seed) for i in range(BATCH)])
    fix = "keep axis 0 for images; shards are cut anywhere"
    _same(singles, applied(transform, x, seed), "y of a batch is not that of its images", fix)


def check_transform(transform: Transform, shape: Shape = (1, 8, 8), *, seed: int = 0) -> None:
    """Run every check on a transform, for images of `shape` (C, H, W).

    Raises:
        CheckFailure: for the first check that fails; it says what to mend.
    """
    __tracebackhide__ = True
    kit.run(transform, shape, seed)


def _same(wanted: Array, got: Array, what: str, fix: str) -> None:
    require_close({"y": wanted}, {"y": got}, what, expected="the same values", fix=fix)


def images(shape: Shape, seed: int, dtype: npt.DTypeLike) -> Array:
    """Draw images with values 0..255."""
    return np.random.default_rng([seed, 1]).integers(0, 256, (BATCH, *shape)).astype(dtype)


def applied(transform: Transform, x: Array, seed: int, scratch: Scratch = CLEAN) -> Array:
    """Apply the transform, with the generator of `seed` where it is random."""
    rng = np.random.default_rng([seed, 2]) if transform.random else None
    return transform.apply(x, rng, scratch)
