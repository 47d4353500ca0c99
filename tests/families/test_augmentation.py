"""Transforms that move, cut, warp, resize and repaint images, against slow loops and by hand."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import ClassVar

import numpy as np
import pytest

from cnnkit.arrays import FRESH, Arena, flatten
from cnnkit.base import Split
from cnnkit.base.context import generator
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import DataError, OptionError, ShapeError, TrainingError
from cnnkit.kernels.images import cut, resample, warp
from cnnkit.losses import CrossEntropy
from cnnkit.model import Model
from cnnkit.optimizers import Sgd
from cnnkit.prediction import prepare
from cnnkit.transforms import (
    Affine,
    Crop,
    Cutmix,
    Flip,
    Invert,
    Jitter,
    Mixup,
    Normalize,
    RandomErasing,
    Resize,
    Scale,
    Shift,
)
from cnnkit.workers import Threads


def images(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def rng(seed=0):
    return np.random.default_rng(seed)


# --- kernels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", [None, 0.0, 7.0])
@pytest.mark.parametrize(
    ("size", "padding"), [((5, 6), (2, 1)), ((3, 2), (0, 0)), ((9, 6), (2, 3))]
)
def test_cut_equals_pad_and_slice(size, padding, fill):
    x, (ph, pw), (h, w) = images(4, 2, 5, 6), padding, size
    rows, columns = (rng(1).integers(0, n + 1, 4) for n in (5 + 2 * ph - h, 6 + 2 * pw - w))
    y = cut(x, (rows, columns), size, padding, fill, FRESH, x.dtype)
    how = {"mode": "edge"} if fill is None else {"constant_values": fill}
    around = np.pad(x, [(0, 0), (0, 0), (ph, ph), (pw, pw)], **how)
    for n, (r, c) in enumerate(zip(rows, columns, strict=True)):
        np.testing.assert_array_equal(y[n], around[n, :, r : r + h, c : c + w])


def slow_warp(x, maps, fill):
    """Bilinear sampling, pixel by pixel."""
    N, C, H, W = x.shape
    y = np.zeros(x.shape)

    def pixel(n, c, i, j):
        if fill is None:
            return x[n, c, min(max(i, 0), H - 1), min(max(j, 0), W - 1)]
        return x[n, c, i, j] if 0 <= i < H and 0 <= j < W else fill

    for n, c, i, j in np.ndindex(N, C, H, W):
        p = np.array([i - (H - 1) / 2, j - (W - 1) / 2])
        v, u = maps[n] @ p + [(H - 1) / 2, (W - 1) / 2]
        i0, j0 = floor(v), floor(u)
        for di, dj in np.ndindex(2, 2):
            share = (v - i0 if di else 1 - v + i0) * (u - j0 if dj else 1 - u + j0)
            y[n, c, i, j] += share * pixel(n, c, i0 + di, j0 + dj)
    return y


@pytest.mark.parametrize("fill", [None, 0.0, -3.0])
@pytest.mark.parametrize("shape", [(3, 2, 5, 6), (3, 1, 1, 4), (3, 1, 3, 1)])
def test_warp_equals_the_slow_loop(shape, fill):
    x, maps = images(*shape), rng(2).uniform(-1.5, 1.5, (3, 2, 2))
    maps[0] = np.eye(2)
    got = warp(x, maps, fill, FRESH, np.float64)
    np.testing.assert_allclose(got, slow_warp(x, maps, fill), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(got[0], x[0])


@pytest.mark.parametrize(("old", "new"), [(6, 3), (7, 3), (7, 5), (5, 4), (28, 8), (9, 1)])
def test_shrinking_takes_the_mean_of_an_area(old, new):
    """Each pixel repeated `new` times, then means of `old`: areas, without a fraction."""
    x = images(2, 1, old, old)
    fine = np.repeat(x, new, axis=3).reshape(2, 1, old, new, old).mean(axis=-1)
    wanted = np.repeat(fine, new, axis=2).reshape(2, 1, new, old, new).mean(axis=3)
    np.testing.assert_allclose(resample(x, (new, new), FRESH, np.float64), wanted, atol=1e-10)


@pytest.mark.parametrize(("old", "new"), [(2, 4), (3, 7), (5, 6), (1, 3), (28, 32)])
def test_growing_interpolates_between_centres(old, new):
    x = images(1, 1, 1, old)
    wanted = np.zeros(new)
    for j in range(new):
        at = Fraction(2 * j + 1, 2) * Fraction(old, new) - Fraction(1, 2)
        at = min(max(at, Fraction(0)), Fraction(old - 1))
        left, share = floor(at), float(at - floor(at))
        wanted[j] = (1 - share) * x[0, 0, 0, left] + share * x[0, 0, 0, min(left + 1, old - 1)]
    np.testing.assert_allclose(
        resample(x, (1, new), FRESH, np.float64)[0, 0, 0], wanted, atol=1e-10
    )


# --- transforms -----------------------------------------------------------------------------------


def test_flip_mirrors_its_share_whole():
    x = images(4000, 2, 2, 3, dtype=np.uint8)
    for axis, mirror in (("horizontal", x[..., ::-1]), ("vertical", x[:, :, ::-1])):
        y = Flip(rate=0.3, axis=axis).apply(x, rng(), FRESH)
        same, other = ((y == z).all(axis=(1, 2, 3)) for z in (x, mirror))
        assert (same | other).all()
        assert (other & ~same).mean() == pytest.approx(0.3, abs=0.03)


def test_shift_moves_by_all_amounts_alike():
    x = np.zeros((9000, 1, 7, 7), np.uint8)
    x[:, :, 3, 3] = 1
    y = Shift(pixels=[1, 2]).apply(x, rng(), FRESH)
    counts = y.sum(axis=(0, 1))
    wanted = np.zeros((7, 7))
    wanted[2:5, 1:6] = 600  # 9000 / (3 * 5)
    np.testing.assert_allclose(counts, wanted, atol=5 * 600**0.5)
    assert not counts[wanted == 0].any()


def test_shift_fills():
    x = np.full((50, 1, 3, 3), 9, np.uint8)
    assert (Shift(pixels=2).apply(x, rng(), FRESH) == 9).all()
    y = Shift(pixels=2, fill=4).apply(x, rng(), FRESH)
    assert y.dtype == np.uint8
    assert set(np.unique(y)) == {4, 9}
    y = Shift(pixels=2, fill=-0.5).apply(x, rng(), FRESH)
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {-0.5, 9}


def test_crop_takes_the_middle_where_nothing_is_random():
    x = images(3, 2, 6, 9)
    y = Crop(size=[4, 5]).apply(x, None, FRESH)
    np.testing.assert_array_equal(y, x[:, :, 1:5, 2:7])
    np.testing.assert_array_equal(Crop(padding=3).apply(x, None, FRESH), x)
    assert Crop(size=[4, 5]).output_shape((2, 6, 9)) == (2, 4, 5)


def test_crop_larger_than_the_image():
    with pytest.raises(ShapeError) as caught:
        Crop(size=9, padding=1).output_shape((1, 6, 9))
    assert str(caught.value) == (
        "cannot cut 9x9 out of 8x11 pixels; expected at most 8x11; cut less, or use more padding"
    )


def test_affine_turns_scales_and_leans():
    """A quarter turn is a transposition and a mirror; twice as large shows the middle half."""
    x = images(1, 1, 5, 5)
    turned = warp(x, Affine(rotation=90, scale=(1, 1))._maps(1, Corner()), None, FRESH, np.float64)
    np.testing.assert_allclose(turned[0, 0], np.rot90(x[0, 0], -1), atol=1e-10)
    maps = Affine(rotation=0, scale=(2, 2))._maps(1, Corner())
    np.testing.assert_allclose(maps[0], np.eye(2) / 2)
    maps = Affine(rotation=0, scale=(1, 1), shear=45)._maps(1, Corner())
    np.testing.assert_allclose(maps[0], [[1, 0], [1, 1]])
    both = Affine(rotation=30, scale=(2, 2), shear=45)._maps(1, Corner())[0]
    turn = np.array([[3**0.5, -1], [1, 3**0.5]]) / 2
    np.testing.assert_allclose(both, [[1, 0], [1, 1]] @ turn / 2)


class Corner:
    """A generator that always draws the largest number."""

    def uniform(self, low, high, size):
        return np.full(size, high)


def test_erasing_covers_the_share_that_it_says():
    x = np.ones((4000, 1, 20, 30), np.uint8)
    y = RandomErasing(rate=0.6, area=(0.1, 0.3), aspect=2).apply(x, rng(), FRESH)
    erased = (y == 0).mean(axis=(1, 2, 3))
    assert (erased > 0).mean() == pytest.approx(0.6, abs=0.03)
    assert erased[erased > 0].mean() == pytest.approx(0.2, abs=0.01)
    for image in y[erased > 0][:50, 0]:
        rows, columns = (image == 0).any(axis=1), (image == 0).any(axis=0)
        assert (image == 0).sum() == rows.sum() * columns.sum()  # a rectangle
        assert 0.4 < rows.sum() / columns.sum() < 2.5


def test_jitter_about_the_mean_and_within_the_range():
    x = images(500, 1, 6, 6, dtype=np.float32) / 4 + 96
    y = Jitter(brightness=0, contrast=0.5).apply(x, rng(), FRESH)
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), mean.ravel(), rtol=1e-5)
    by = (y - mean).std(axis=(1, 2, 3)) / x.std(axis=(1, 2, 3))
    assert 0.5 <= by.min() < 0.53
    assert 1.47 < by.max() <= 1.5001
    y = Jitter(brightness=0.1, contrast=0).apply(x, rng(), FRESH)
    more = (y - x).mean(axis=(1, 2, 3))
    assert -25.5 <= more.min() < -24
    assert 24 < more.max() <= 25.501
    y = Jitter(brightness=1, contrast=1).apply(x, rng(), FRESH)
    assert (y.min(), y.max()) == (0, 255)


def test_invert():
    x = np.array([[[[0.0, 0.25, 1.0]]]], np.float32)
    assert Invert(range=(0, 1)).apply(x, None, FRESH).tolist() == [[[[1.0, 0.75, 0.0]]]]


# --- what is taken from the training images ------------------------------------------------------


def test_normalize_takes_the_moments_of_all_images():
    x = images(700, 3, 4, 5, dtype=np.uint8)
    x[:, 1] = 40  # a channel that is the same everywhere
    model = Model.build(["flatten", {"type": "softmax", "units": 2}], (3, 4, 5),
                        transforms=[Scale(), Normalize()])  # fmt: skip
    model.fit_transforms(x)
    fitted = model.transforms[1]
    scaled = x / 255 - 0.5
    np.testing.assert_allclose(fitted.mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(fitted.std[::2], scaled.std(axis=(0, 2, 3))[::2], rtol=1e-6)
    assert fitted.std[1] == 1


def test_normalize_is_kept_with_the_model(tmp_path):
    x, y = images(60, 1, 4, 4, dtype=np.uint8), np.arange(60) % 3
    model = Model.build([{"type": "softmax", "units": 3}], (1, 4, 4), transforms=[Normalize()])
    with pytest.raises(DataError, match="does not know the training images"):
        model.predict(x)
    Trainer(model, CrossEntropy(), Sgd(lr=0.1), epochs=1, batch=20).fit(x, y)
    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.transforms[0].mean, [x.mean()])
    dark = (x // 2)[:8]
    np.testing.assert_array_equal(loaded.predict(dark), model.predict(dark))
    before = model.transforms
    Trainer(model, CrossEntropy(), Sgd(lr=0.1), epochs=1, batch=20).fit(x // 2, y)
    assert model.transforms == before


def test_normalize_wants_both_and_for_each_channel():
    with pytest.raises(OptionError, match="mean and std must be given together"):
        Normalize(mean=[1.0])
    with pytest.raises(ShapeError) as caught:
        Normalize(mean=[1.0, 2.0], std=[1.0, 1.0]).output_shape((3, 4, 4))
    assert str(caught.value) == (
        "has numbers for 2 channels, but images have 3; expected 3 numbers, or none: they are "
        "taken from the training images"
    )


# --- in a run -------------------------------------------------------------------------------------

RANDOM = [Flip(), Shift(), Crop(size=6, padding=1), Affine(), RandomErasing(), Jitter(), Scale()]


def test_augmentation_is_for_training_only():
    x = images(5, 1, 8, 8, dtype=np.uint8)
    y = prepare(x, RANDOM, np.dtype(np.float32), None, FRESH)
    np.testing.assert_array_equal(y, Scale().apply(x[:, :, 1:7, 1:7], None, FRESH))


def test_bits_do_not_depend_on_threads():
    x, y = images(48, 1, 8, 8, dtype=np.uint8), np.arange(48) % 3

    def trained(threads):
        model = Model.build([{"type": "softmax", "units": 3}], (1, 6, 6), transforms=RANDOM)
        with Threads(threads) as pool:
            trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.1), epochs=2, batch=24, shard=5,
                              threads=pool)  # fmt: skip
            list(trainer.run(Split(x, y), None))
        return model.weights

    one, two, three = (trained(n) for n in (1, 2, 3))
    np.testing.assert_equal(one, two)
    np.testing.assert_equal(one, three)


def test_an_arena_gives_the_same_images():
    x, arena = images(6, 2, 7, 8, dtype=np.uint8), Arena()
    for transform in [*RANDOM[:-1], Resize(size=[5, 9]), Invert()]:
        wanted = transform.apply(x, rng(), FRESH)
        for _ in range(2):
            arena.reset()
            np.testing.assert_array_equal(transform.apply(x, rng(), arena), wanted)


# --- what mixes images and targets ----------------------------------------------------------------

SOFT = [Mixup(alpha=1), Cutmix()]


def shard(N=400, shape=(1, 6, 9)):
    """Images that are their own number everywhere, and targets of a class each."""
    return np.broadcast_to(np.arange(N, dtype=float).reshape(-1, 1, 1, 1), (N, *shape)), np.eye(N)


@pytest.mark.parametrize("transform", SOFT, ids=lambda t: t.type)
def test_images_and_targets_are_mixed_alike(transform):
    """The mean of an image of numbers is the mean of its targets' numbers."""
    x, targets = shard()
    y, soft = transform.apply_batch(x, targets, rng(), FRESH)
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), soft @ np.arange(400), rtol=1e-9)
    assert ((soft > 0).sum(axis=1) <= 2).all()
    own = soft.diagonal()
    assert own.mean() == pytest.approx(0.5 if transform.type == "mixup" else 0.63, abs=0.06)


def test_mixup_is_a_mean_and_its_shares_are_beta():
    x, targets = shard()
    y, soft = Mixup(alpha=0.2).apply_batch(x, targets, rng(), FRESH)
    np.testing.assert_allclose(y, np.einsum("nm,mchw->nchw", soft, x), rtol=1e-9)
    own = soft.diagonal()
    assert own.var() == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.02)  # of Beta(0.2, 0.2)


def test_cutmix_puts_a_rectangle_of_one_partner():
    x, targets = shard()
    y, soft = Cutmix().apply_batch(x, targets, rng(), FRESH)
    for n, image in enumerate(y[:, 0]):
        other = image != n
        rows, columns = other.any(axis=1).sum(), other.any(axis=0).sum()
        assert other.sum() == rows * columns
        assert len(np.unique(image[other])) <= 1
        assert soft[n, n] == pytest.approx(1 - other.mean()) or not other.any()


def test_training_on_mixed_images_does_not_depend_on_threads():
    x, y = images(48, 1, 8, 8, dtype=np.uint8), np.arange(48) % 3

    def trained(threads, transforms):
        model = Model.build([{"type": "softmax", "units": 3}], (1, 8, 8), transforms=transforms)
        with Threads(threads) as pool:
            trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.1), epochs=2, batch=24, shard=5,
                              threads=pool)  # fmt: skip
            losses = [epoch.train_loss for epoch in trainer.run(Split(x, y), None)]
        return losses, model.weights

    one, two, three = (trained(n, [Scale(), *SOFT]) for n in (1, 2, 3))
    np.testing.assert_equal(one, two)
    np.testing.assert_equal(one, three)
    assert trained(1, [Scale()])[0] != one[0]


def test_a_step_on_mixed_images_by_hand():
    """One shard, float64: the gradient of a softmax regression at zero weights."""
    x, y = images(6, 1, 2, 2, dtype=np.float64) / 255, np.arange(6) % 3
    model = Model.build([{"type": "softmax", "units": 3, "init": "zeros"}], (1, 2, 2),
                        dtype="float64", transforms=[Mixup(alpha=1)])  # fmt: skip
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=1.0), epochs=1, batch=6, shard=6,
                      shuffle="none", seed=5)  # fmt: skip
    list(trainer.run(Split(x, y), None))
    mixed, soft = Mixup(alpha=1).apply_batch(
        x, np.eye(3)[y], generator((5, 0, 0, 0), "transforms"), FRESH
    )
    wanted = mixed.reshape(6, 4).T @ (soft - 1 / 3) / 6
    (W,) = (w for path, w in flatten(model.weights).items() if path.endswith("W"))
    np.testing.assert_allclose(W, wanted, atol=1e-12)


def test_a_loss_that_takes_labels_only_is_refused():
    class TakesLabels(CrossEntropy):
        type: str = "labels"
        soft: ClassVar[bool] = False

    model = Model.build([{"type": "softmax", "units": 3}], (1, 8, 8), transforms=[Cutmix()])
    with pytest.raises(TrainingError) as caught:
        Trainer(model, TakesLabels(), Sgd(lr=0.1))
    assert str(caught.value) == "cutmix mixes the targets, and labels takes labels only"


# --- averaging in prediction ----------------------------------------------------------------------


def test_prediction_averages_over_flips(tmp_path):
    x = images(70, 1, 5, 6, dtype=np.uint8)
    layers = [{"type": "conv", "filters": 2, "kernel": 3}, "relu", {"type": "softmax", "units": 3}]

    def made(average):
        return Model.build(layers, (1, 5, 6), transforms=[Scale()], average=average)

    plain = made([])
    up = x[:, :, ::-1]
    both = [Flip(), Flip(axis="vertical")]
    for average, views in (
        ([Flip()], [x, x[..., ::-1]]),
        (both, [x, x[..., ::-1], up, up[..., ::-1]]),
    ):
        wanted = sum(plain.predict(view) for view in views) / len(views)
        np.testing.assert_allclose(made(average).predict(x), wanted, rtol=1e-6)
    model = made(both)
    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    assert list(loaded.average) == both
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


@pytest.mark.parametrize("fill", ["edge", 7])
def test_a_shift_has_the_views_of_its_outermost_moves(fill):
    x = images(3, 2, 4, 5)
    how = {"mode": "edge"} if fill == "edge" else {"constant_values": fill}
    room = np.pad(x, [(0, 0), (0, 0), (2, 2), (1, 1)], **how)
    # the window over the image lies the other way from where the image goes
    moves = {"down": (0, 1), "up": (4, 1), "right": (2, 0), "left": (2, 2)}
    wanted = [x, *(room[:, :, h : h + 4, w : w + 5] for h, w in moves.values())]
    views = Shift(pixels=[2, 1], fill=fill).views(x)
    for view, one in zip(views, wanted, strict=True):
        np.testing.assert_array_equal(view, one)
    assert len(Shift(pixels=[0, 1]).views(x)) == len(Shift(pixels=[1, 0]).views(x)) == 3
    assert len(Shift(pixels=0).views(x)) == 1


def test_prediction_averages_over_every_pair_of_views():
    x = images(9, 1, 5, 6, dtype=np.uint8)
    layers = [{"type": "conv", "filters": 2, "kernel": 3}, "relu", {"type": "softmax", "units": 3}]
    plain, both = (
        Model.build(layers, (1, 5, 6), transforms=[Scale()], average=average)
        for average in ([], [Flip(), Shift(pixels=1)])
    )
    views = [v for flipped in Flip().views(x) for v in Shift(pixels=1).views(flipped)]
    assert len(views) == 10
    wanted = sum(plain.predict(view) for view in views) / 10
    np.testing.assert_allclose(both.predict(x), wanted, rtol=1e-6)


def test_evaluation_averages_probabilities_and_validation_does_not():
    x, y = images(40, 1, 5, 6, dtype=np.uint8), np.arange(40) % 3
    model = Model.build([{"type": "softmax", "units": 3}], (1, 5, 6), transforms=[Scale()],
                        average=[Flip()])  # fmt: skip
    trainer = Trainer(model, CrossEntropy(), Sgd(lr=0.0), epochs=1, batch=40)
    (epoch,) = trainer.fit(x, y, (x, y))
    probabilities = model.predict(x)
    wanted = -np.log(probabilities[np.arange(40), y]).mean()
    assert trainer.evaluate(Split(x, y))["loss"] == pytest.approx(wanted, rel=1e-5)
    alone = Model.build([{"type": "softmax", "units": 3}], (1, 5, 6), transforms=[Scale()])
    alone = alone.predict(x)
    assert epoch.validation["loss"] == pytest.approx(
        -np.log(alone[np.arange(40), y]).mean(), rel=1e-5
    )
