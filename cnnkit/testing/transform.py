"""The kit for transforms."""

from __future__ import annotations

from copy import copy
from itertools import product

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Arena, Array, Scratch, Shape
from cnnkit.base import BatchTransform, Transform
from cnnkit.base.contract import checked_mix
from cnnkit.testing import options
from cnnkit.testing.check import Kit, require, require_equal
from cnnkit.testing.manners import manners
from cnnkit.testing.tools import CLEAN, HostileScratch, difference, require_close, require_same

BATCH = 5
"""Images per shard."""
_ROUNDING = 2 / 255
"""Share of the values' range that rounding to whole numbers, twice, may cost."""


class Images:
    """A transform, with images to apply it to."""

    def __init__(self, transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
        self.shape = shape
        self.seed = seed
        self.unfitted = transform
        self.transform = transform.fit(iter([self.draw()]))

    def draw(self, dtype: npt.DTypeLike = np.float32) -> Array:
        """Draw a shard of images with values 0..255."""
        rng = np.random.default_rng([self.seed, 1])
        return rng.integers(0, 256, (BATCH, *self.shape)).astype(dtype)

    def apply(self, x: Array, scratch: Scratch = CLEAN, draw: int = 0) -> Array:
        """Apply the transform, with generator number `draw` where it is random; one that mixes
        images meets them as floats."""
        if isinstance(self.transform, BatchTransform):
            floats = x if x.dtype.kind == "f" else x.astype(np.float32)
            return self.mix(floats, self.targets(floats), scratch, draw)[0]
        return self.transform.apply(x, self.rng(draw), scratch)

    def of(self, transform: Transform) -> Images:
        """Return the same images for another transform, as it is."""
        other = copy(self)
        other.transform = transform
        return other

    def mix(
        self, x: Array, targets: Array, scratch: Scratch = CLEAN, draw: int = 0
    ) -> tuple[Array, Array]:
        """Apply a transform that mixes images and targets."""
        if not isinstance(self.transform, BatchTransform):
            return x, targets
        rng = np.random.default_rng([self.seed + draw, 2])
        given = self.transform.apply_batch(x, targets, rng, scratch)
        mixed: tuple[Array, Array] = checked_mix(self.transform, x, targets, given)
        return mixed

    def targets(self, x: Array) -> Array:
        """Return one-hot targets for a shard, each image of a class of its own."""
        return np.eye(BATCH + 1, dtype=x.dtype)[: len(x)]

    def rng(self, draw: int = 0) -> np.random.Generator | None:
        """Return generator number `draw`, or None where the transform is not random."""
        return np.random.default_rng([self.seed + draw, 2]) if self.transform.random else None


def _use(transform: Transform, shape: Shape = (1, 8, 8), seed: int = 0) -> None:
    images = Images(transform, shape, seed)
    for dtype in (np.uint8, np.float32):
        images.apply(images.draw(dtype))
        images.apply(images.draw(dtype) * 0)


kit = Kit("transform", options.kit, manners(_use), case=Images)


@kit.check("make output_shape compute what apply does; keep axis 0 for images")
def transform_shape_is_real(images: Images) -> None:
    """apply gives (N, *output_shape) for uint8 and float images, one or several."""
    for dtype in (np.uint8, np.float32):
        for N in (1, BATCH):
            got = images.apply(images.draw(dtype)[:N]).shape
            wanted = (N, *images.transform.output_shape(images.shape))
            kind = f"{N} {np.dtype(dtype).name} images of {images.shape}"
            require_equal(wanted, got, f"output_shape is wrong for {kind}")


@kit.check("leave the shape as it is, or declare `always` and take rng None for prediction")
def transform_shape_in_prediction(images: Images) -> None:
    """An augmentation that runs in training only keeps the shape; one that declares `always` runs
    without a generator, too, and gives what output_shape says."""
    transform = images.transform
    if not transform.random:
        return
    wanted = images.shape
    if transform.always:
        y = transform.apply(images.draw(), None, CLEAN)
        wanted = y.shape[1:]
        again = transform.apply(images.draw(), None, CLEAN)
        _require_same_y(y, again, "without a generator two calls give different images")
    what = "images of another shape come out in training than in prediction"
    require_equal(wanted, transform.output_shape(images.shape), what)


@kit.check("write into scratch.empty(...) or a new array, never into x")
def transform_input_unmodified(images: Images) -> None:
    """The images are left as they were: the next epoch needs them."""
    for dtype in (np.uint8, np.float32):
        x = images.draw(dtype)
        images.apply(x)
        require_same(images.draw(dtype), x, "apply changes the images")


@kit.check("compute in float32; make constants of the output's dtype")
def transform_dtype(images: Images) -> None:
    """Floats keep their dtype; uint8 stays uint8 or becomes float32."""
    for given, allowed in (("uint8", ("uint8", "float32")), ("float32", ("float32",))):
        got = images.apply(images.draw(given)).dtype.name
        what = f"{given} images come out as {got}"
        require(got in allowed, what, expected=" or ".join(allowed), got=got)


@kit.check(
    "write x.astype(np.float32) before any arithmetic, as uint8 wraps around; "
    "clip before going back"
)
def transform_bytes_equal_floats(images: Images) -> None:
    """Images of uint8 give what the same values in float32 give, but for rounding."""
    whole, exact = (images.apply(images.draw(dtype)) for dtype in ("uint8", "float32"))
    if whole.dtype == np.uint8:
        exact = exact.clip(0, 255)
    far = np.abs(whole - exact) > _ROUNDING * np.ptp(exact)
    require(
        not far.any(),
        "uint8 images give other values than the same images in float32",
        expected="the same, but for rounding, and for values beyond 0..255 where uint8 comes out",
        got=difference(np.where(far, exact, whole), whole.astype(np.float32)),
    )


@kit.check("draw from rng; where `random` is False, rng is None")
def transform_randomness(images: Images) -> None:
    """Randomness comes from the rng alone, and only where `random` says so."""
    x = images.draw()
    one, two = (images.apply(x, HostileScratch()) for _ in range(2))
    _require_same_y(one, two, "equal generators give different images")
    others = (images.apply(x, draw=draw) for draw in range(1, 9))
    require(
        not images.transform.random or any(not np.array_equal(one, other) for other in others),
        "`random` is True, but the rng changes nothing",
        expected="other images for another rng",
        got="the same images for 9 generators",
        fix="draw from rng, or leave out `random`",
    )


@kit.check("fill scratch arrays before reading them; return scratch.empty, never scratch.temp")
def transform_scratch(images: Images) -> None:
    """Scratch memory holds anything at first, and is used again for the next shard."""
    x, arena, hostile = images.draw(), Arena(), HostileScratch()
    wanted = images.apply(x)
    got = images.apply(x, hostile)
    hostile.spoil()
    _require_same_y(wanted, got, "y depends on what a scratch array held before")
    for _ in range(2):
        arena.reset()
        _require_same_y(wanted, images.apply(x, arena), "y changes in reused scratch memory")


@kit.check("use x.shape and indexing, never x.data or x.strides")
def transform_non_contiguous(images: Images) -> None:
    """Images may have any strides."""
    x = images.draw()
    view = np.repeat(x, 2, axis=-1)[..., ::2]
    what = "y changes where x is a view that is not contiguous"
    _require_same_y(images.apply(x), images.apply(view), what)


@kit.check("keep axis 0 for images; shards are cut anywhere")
def transform_of_singles(images: Images) -> None:
    """A transform that is not random treats every image alone."""
    if images.transform.random:
        return
    x = images.draw()
    singles = np.concatenate([images.apply(x[i : i + 1]) for i in range(BATCH)])
    _require_same_y(singles, images.apply(x), "y of a batch is not that of its images")


@kit.check("read every shard; return a copy with new options: type(self)(mean=..., ...)")
def transform_fit(images: Images) -> None:
    """fit gives a transform of the same type, which its options alone make again, whatever the
    shards; fitted once, it stays."""
    fitted, x = images.transform, images.draw(np.float64)
    require_equal(type(images.unfitted), type(fitted), "fit gives another type")
    wanted = images.apply(x)
    halves = images.unfitted.fit(iter([x[:2], x[2:]]))
    others = {
        "in other shards": halves,
        "once more": fitted.fit(iter([x[:2] + 1])),
        "and made again from its options": options.remade(fitted, fitted.model_dump()),
    }
    for how, other in others.items():
        got = images.of(other).apply(x)
        _require_same_y(wanted, got, f"y changes where the transform is fitted {how}")


@kit.check("say in range_to what the smallest and the largest value can become; None if unknown")
def transform_range_is_real(images: Images) -> None:
    """What comes out lies within `range_to`, for images that fill `range_from`."""
    transform = images.transform
    given = transform.range_from() or (0.0, 255.0)
    promised = transform.range_to(given)
    if promised is None:
        return
    share = images.draw(np.float64) / 255
    x = (given[0] + (given[1] - given[0]) * share).astype(np.float32)
    x.flat[:2] = given
    for draw in range(9):
        y = images.apply(x, draw=draw)
        slack = 1e-5 * (1 + promised[1] - promised[0])
        require(
            promised[0] - slack <= y.min() and y.max() <= promised[1] + slack,
            "values leave the range that range_to gives",
            expected=f"within {promised[0]:g}..{promised[1]:g}",
            got=f"{y.min():g}..{y.max():g}",
        )


@kit.check("give back shares: own * targets + (1 - own) * targets[partners], in a new array")
def batch_targets(images: Images) -> None:
    """Targets stay shares of the classes: none below 0, each row adding up to 1; they come from the
    rng alone, for one image too, and images without targets stay as they are."""
    if not isinstance(images.transform, BatchTransform):
        return
    for dtype, N in product((np.float32, np.float64), (1, BATCH)):
        x = images.draw(dtype)[:N]
        given, hostile = images.targets(x), HostileScratch()
        _, targets = images.mix(x, given, hostile)
        hostile.spoil()
        require_same(images.targets(x), given, "apply_batch changes the targets it is given")
        off = max(float(np.abs(targets.sum(axis=1) - 1).max()), -float(targets.min()))
        expected = "shares >= 0 that add up to 1"
        require(off < 1e-5, "targets are no shares of the classes", expected=expected,
                got=f"{targets[0].round(4).tolist()} for the first image")  # fmt: skip
        again = images.mix(x, given)[1]
        require_close({"targets": targets}, {"targets": again}, "equal generators give two {name}")
        alone = images.transform.apply(x, images.rng(), CLEAN)
        require_same(x, alone, "apply changes images that come without targets")


@kit.check("give x itself first, and views or copies of it of the same shape; draw nothing")
def transform_views(images: Images) -> None:
    """views gives x itself and other forms of the same shape, the same ones every time."""
    x = images.draw()
    first, *others = images.transform.views(x)
    require_same(x, first, "the first view is not x itself")
    require_same(images.draw(), x, "views changes x")
    for number, view in enumerate(others, start=1):
        require_equal(x.shape, view.shape, f"view {number} has another shape")
        again = images.transform.views(x)[number]
        require_same(view, again, f"view {number} is another one when asked again")


def _require_same_y(wanted: Array, got: Array, what: str) -> None:
    require_close({"y": wanted}, {"y": got}, what)


def check_transform(transform: Transform, shape: Shape = (1, 8, 8), *, seed: int = 0) -> None:
    """Run every check on a transform, for images of `shape` (C, H, W).

    Raises CheckFailure for the first that fails.
    """
    __tracebackhide__ = True
    kit.run(transform, shape, seed)
