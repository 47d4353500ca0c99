"""Put four arrays together, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnkit.arrays import Array
from cnnkit.base import Data, Dataset, Split
from cnnkit.datasets.images import Layout, to_images
from cnnkit.datasets.labels import check_within, class_names, to_labels
from cnnkit.datasets.problems import problem


@dataclass(frozen=True, slots=True)
class Source:
    """An array as read, and the words that tell a user where it came from."""

    array: Array
    where: Path | str


def assemble(
    dataset: Dataset,
    train: tuple[Source, Source],
    test: tuple[Source, Source],
    classes: list[str] | None = None,
    layout: Layout = "auto",
) -> Data:
    """Return the data of `dataset`, made of (images, labels) for training and for test.

    Args:
        classes: display names; without them the training labels tell how many classes there are.

    Raises:
        DataError: where one of the arrays is not what it should be, or two do not match.
    """
    first, second = (_split(*pair, layout) for pair in (train, test))
    names = class_names(first.labels, train[1].where, classes)
    check_within(second.labels, test[1].where, len(names))
    _check_alike((first, train[0]), (second, test[0]))
    for split, source in ((first, train[0]), (second, test[0])):
        _check_range(split.images, source.where, dataset)
    return Data(dataset.type, first, second, names)


def _check_alike(train: tuple[Split, Source], test: tuple[Split, Source]) -> None:
    (first, source), (second, other) = train, test
    for what, want, got in (
        ("shape", first.images.shape[1:], second.images.shape[1:]),
        ("dtype", first.images.dtype, second.images.dtype),
    ):
        if want != got:
            raise problem(
                other.where,
                f"training and test images differ in {what}",
                expected=f"{want}, as in {source.where}",
                got=str(got),
            )


def _check_range(images: Array, where: Path | str, dataset: Dataset) -> None:
    """Refuse images in [0, 1] that `scale` would squeeze into 1/255 of the range it is for."""
    scales = any(transform.type == "scale" for transform in dataset.transforms)
    if scales and images.dtype.kind == "f" and images.max() <= 1:
        raise problem(
            where,
            "the images lie within 0..1 already, but the transform scale is for 0..255",
            got=f"{images.min()}..{images.max()}",
            help="write transforms = [] in [data]",
        )


def _split(images: Source, labels: Source, layout: Layout) -> Split:
    split = Split(
        to_images(images.array, images.where, layout), to_labels(labels.array, labels.where)
    )
    if len(split.images) != len(split.labels):
        raise problem(
            labels.where,
            "there must be one label per image",
            expected=f"{len(split.images)} labels, for the images in {images.where}",
            got=f"{len(split.labels)} labels",
        )
    return split
