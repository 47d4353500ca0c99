"""Checks of what a transform makes of images of uint8 and of floats."""

from __future__ import annotations

import numpy as np

from cnnkit.arrays import Shape
from cnnkit.base import Transform
from cnnkit.testing.check import Check, check
from cnnkit.testing.compare import difference
from cnnkit.testing.failure import require
from cnnkit.testing.transform_samples import applied, images

_ROUNDING = 2 / 255
"""Share of the values' range that rounding to whole numbers, twice, may cost."""


@check
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


@check
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


TRANSFORM_DTYPE_CHECKS: tuple[Check, ...] = (transform_dtype, transform_bytes_equal_floats)
