"""What is odd about the data of a run, though nothing is wrong with it: a line for each thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Data, Split, Transform
from cnnkit.values import unscaled

_FEW = 10
"""Images of a class to train on, below which it can hardly be learned."""
_BEYOND = 16
"""What images reach that are not scaled to 0..1."""
_UNEVEN = 20
"""Times the images of the rarest class that the most frequent one may have."""


def oddities(data: Data, transforms: Sequence[Transform]) -> Iterator[str]:
    """Yield a warning for each thing that may spoil a training, or its figures."""
    if unscaled(data.train.images, transforms):
        yield (
            "warning: bytes, 0 to 255, reach the network as they are: [data] transforms replaces "
            'the default, ["scale"]; put "scale" into it'
        )
    names, counts = data.classes, np.bincount(data.train.labels, minlength=len(data.classes))
    if few := [f"{names[k]} ({counts[k]})" for k in np.flatnonzero(counts < _FEW)]:
        yield f"warning: classes with fewer than {_FEW} images to train on: {_some(few)}"
    least, most = counts.argmin(), counts.argmax()
    if counts[most] > _UNEVEN * counts[least]:
        shares = f"{counts[most]:,} of {names[most]}, {counts[least]:,} of {names[least]}"
        yield f"warning: some classes have over {_UNEVEN} times the images of others: {shares}"
    depth, height, width = data.train.images.shape[1:]
    if depth == height > 4 and width in (1, 3):
        yield f"warning: images of {depth}x{height}x{width}: {depth} channels, {width} pixels wide"
    known = _first_places(data.train)
    for part, split in data.splits().items():
        if part != "train":
            yield from _compare(part, split, data.classes, known)
        flat = split.images.reshape(len(split), -1)
        if odd := _otherwise_scaled(flat):
            yield f"warning: {odd} of {len(split):,} {part} images have values within 0..1 alone"
        if (blank := np.flatnonzero(flat.min(axis=1) == flat.max(axis=1))).size:
            what = "image is" if len(blank) == 1 else "images are"
            yield f"warning: {len(blank):,} {part} {what} of one colour all over: {_some(blank)}"


def _otherwise_scaled(flat: Array) -> str:
    """Return how many images stay within 0..1 where others go far beyond, or ""."""
    peaks = flat.max(axis=1)
    count = np.count_nonzero((peaks > 0) & (peaks <= 1)) if peaks.max() > _BEYOND else 0
    return f"{count:,}" if count else ""


def _compare(
    part: str, split: Split, classes: Sequence[str], known: dict[int, int]
) -> Iterator[str]:
    """Yield what makes the figures of a split mean less than they say."""
    if absent := [name for k, name in enumerate(classes) if not (split.labels == k).any()]:
        yield f"warning: no {part} image is of class {_some(absent)}"
    same = [place for place in _first_places(split).items() if place[0] in known]
    if same:
        image, index = same[0]
        what = "image is a training image" if len(same) == 1 else "images are training images"
        yield (
            f"warning: {len(same):,} {part} {what} too, such as {part} image {index}, "
            f"which is training image {known[image]}"
        )


def _first_places(split: Split) -> dict[int, int]:
    """Return the first index of each image, by a hash of its bytes."""
    found: dict[int, int] = {}
    for index, image in enumerate(split.images):
        found.setdefault(hash(image.tobytes()), index)
    return found


def _some(things: Sequence[object] | np.ndarray[tuple[int], np.dtype[np.intp]]) -> str:
    more = f" and {len(things) - 5:,} more" if len(things) > 5 else ""
    return ", ".join(map(str, things[:5])) + more
