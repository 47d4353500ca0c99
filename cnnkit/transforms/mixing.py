"""Transforms that mix the images of a shard, and their targets with them."""

from __future__ import annotations  # else numpy.random is imported with it, whoever needs it

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Scratch
from cnnkit.base import BatchTransform, Synonyms

Alpha = Annotated[float, Field(gt=0, le=1000)]


class Mixup(BatchTransform):
    """Lay each image over another of its shard: x = l * x + (1 - l) * x', targets alike.

    Each image has its own l from the distribution Beta(alpha, alpha), and its partner from a
    permutation of the shard. In training only.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization (2018).

    >>> x, targets = np.array([0.0, 1.0]).reshape(2, 1, 1, 1), np.eye(2)
    >>> y, soft = Mixup(alpha=1.0).apply_batch(x, targets, np.random.default_rng(4), Scratch())
    >>> y.ravel().round(2), soft.round(2).tolist()
    (array([0.88, 0.53]), [[0.12, 0.88], [0.47, 0.53]])
    """

    type: Literal["mixup"] = "mixup"
    synonyms: ClassVar[Synonyms] = {"mixup": "mix mixuplayer"}

    alpha: Alpha = 0.2
    """Of the distribution of shares: 1 for all alike; the less, the more images stay nearly
    themselves."""

    def apply_batch(
        self, x: Array, targets: Array, rng: np.random.Generator, scratch: Scratch
    ) -> tuple[Array, Array]:
        partners = rng.permutation(len(x))
        own = rng.beta(self.alpha, self.alpha, len(x)).astype(x.dtype)
        y, share = scratch.empty(x.shape, x.dtype), own[:, None, None, None]
        np.multiply(x, share, out=y)
        y += x[partners] * (1 - share)
        return y, _mixed(targets, partners, own)


class Cutmix(BatchTransform):
    """Put a rectangle of another image of the shard into each; targets by the area of each.

    The rectangle has the image's proportions and covers 1 - l of it before what lies outside is
    cut off, l from Beta(alpha, alpha); its centre may be anywhere, and its partner comes from a
    permutation of the shard. In training only.

    Source: Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers (2019).

    >>> x, targets = np.array([[[[0, 0, 0]]], [[[1, 1, 1]]]]) * 1.0, np.eye(2)
    >>> y, soft = Cutmix().apply_batch(x, targets, np.random.default_rng(6), Scratch())
    >>> y.tolist(), soft.round(2).tolist()
    ([[[[1.0, 1.0, 0.0]]], [[[1.0, 0.0, 0.0]]]], [[0.33, 0.67], [0.67, 0.33]])
    """

    type: Literal["cutmix"] = "cutmix"

    alpha: Alpha = 1.0
    """Of the distribution of shares: 1 for all alike; the less, the more images stay nearly
    themselves."""

    def apply_batch(
        self, x: Array, targets: Array, rng: np.random.Generator, scratch: Scratch
    ) -> tuple[Array, Array]:
        N, _, H, W = x.shape
        partners = rng.permutation(N)
        side = np.sqrt(1 - rng.beta(self.alpha, self.alpha, N))
        rows, columns = (_stretch(n, side, rng) for n in (H, W))
        inside = rows[:, :, None] & columns[:, None, :]
        y = scratch.empty(x.shape, x.dtype)
        np.copyto(y, x)
        np.copyto(y, x[partners], where=inside[:, None])
        own = 1 - inside.mean(axis=(1, 2))
        return y, _mixed(targets, partners, own.astype(x.dtype))


def _stretch(size: int, share: Array, rng: np.random.Generator) -> Array:
    """Draw a stretch of `share` (N,) of each of N axes about any place: (N, size), true inside."""
    length = np.rint(share * size)[:, None]
    first = rng.integers(0, size, (len(share), 1)) - length // 2
    place = np.arange(size)
    inside: Array = (place >= first) & (place < first + length)
    return inside


def _mixed(targets: Array, partners: Array, own: Array) -> Array:
    """Return the targets, `own` (N,) of each image's and the rest of its partner's."""
    mixed: Array = targets * own[:, None] + targets[partners] * (1 - own[:, None])
    return mixed
