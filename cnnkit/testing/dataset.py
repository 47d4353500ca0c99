"""The kit for datasets."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

from cnnkit.base import Data, DataPaths, Dataset, Split
from cnnkit.testing import options
from cnnkit.testing.check import Kit, require
from cnnkit.testing.manners import manners
from cnnkit.testing.tools import require_same


def _use(dataset: Dataset, paths: DataPaths) -> None:
    dataset.info(paths)
    dataset.load(paths)


kit = Kit("dataset", options.kit, manners(_use, reads_files=True))


@kit.check("bring them to (N, C, H, W), one shape for training and test")
def images_are_nchw(dataset: Dataset, paths: DataPaths) -> None:
    """Images are (N, C, H, W), uint8 or float32, C-contiguous, equal in shape, and finite."""
    data = dataset.load(paths)
    for what, split in _splits(data):
        x = split.images
        require(
            x.ndim == 4 and x.shape[1:] == data.train.images.shape[1:] and min(x.shape) > 0,
            f"the {what} images are not (N, C, H, W)",
            expected=f"N images of {data.train.images.shape[1:]}",
            got=str(x.shape),
        )
        require(
            x.dtype.name in ("uint8", "float32") and x.flags.c_contiguous,
            f"the {what} images are {x.dtype.name} or not contiguous",
            expected="uint8 or float32, C-contiguous",
            got=f"{x.dtype.name}, strides {x.strides}",
            fix="end with np.ascontiguousarray(images, np.uint8)",
        )
        require(
            bool(np.isfinite(x).all()),
            f"the {what} images hold NaN or infinity",
            expected="finite pixels",
            got=f"{np.count_nonzero(~np.isfinite(x))} that are not",
            fix="raise DataError for damaged files",
        )


@kit.check("give every class a display name")
def labels_are_classes(dataset: Dataset, paths: DataPaths) -> None:
    """Labels are int64 (N,), one per image, each an index into the names of the classes."""
    data = dataset.load(paths)
    named = isinstance(data.classes, tuple) and all(isinstance(c, str) for c in data.classes)
    require(
        named and len(set(data.classes)) == len(data.classes) >= 2,
        "classes is not a tuple of distinct names",
        expected='such as ("cat", "dog")',
        got=repr(data.classes)[:80],
    )
    for what, split in _splits(data):
        t = split.labels
        require(
            t.shape == (len(split.images),) and t.dtype == np.int64,
            f"the {what} labels are not int64 (N,)",
            expected=f"int64 ({len(split.images)},)",
            got=f"{t.dtype.name} {t.shape}",
            fix="flatten them and end with labels.astype(np.int64)",
        )
        require(
            t.min() >= 0 and t.max() < len(data.classes),
            f"the {what} labels lie outside 0..{len(data.classes) - 1}",
            expected="indices into classes",
            got=f"{t.min()}..{t.max()}",
            fix="count classes from 0, and raise DataError for other labels",
        )


@kit.check("correct it, or return None where it cannot be known without loading")
def info_is_true(dataset: Dataset, paths: DataPaths) -> None:
    """info gives the shape and class count that load gives, or None."""
    info, data = dataset.info(paths), dataset.load(paths)
    found = data.train.images.shape[1:], len(data.classes)
    is_true = info is None or (info.shape, info.classes) == found
    require(is_true, "info is not what load gives", expected=str(found), got=str(info))


@kit.check("return DatasetInfo(shape, classes) of what is known without reading, or None")
def info_loads_nothing(dataset: Dataset, paths: DataPaths) -> None:
    """info answers without load: specs are judged before data is read or downloaded."""
    with patch.object(type(dataset), "load", autospec=True, side_effect=type(dataset).load) as load:
        dataset.info(paths)
    expected = "an answer from options, file names or headers, or None"
    require(not load.called, "info calls load", expected=expected, got="the whole dataset loaded")


@kit.check("sort file names; shuffle nothing")
def loads_repeat(dataset: Dataset, paths: DataPaths) -> None:
    """Loading twice gives the same images in the same order: shuffling is the engine's."""
    one, two = dataset.load(paths), dataset.load(paths)
    for (what, a), (_, b) in zip(_splits(one), _splits(two), strict=True):
        require_same(a.images, b.images, f"the {what} images differ between two loads")
        require_same(a.labels, b.labels, f"the {what} labels differ between two loads")


def _splits(data: Data) -> tuple[tuple[str, Split], tuple[str, Split]]:
    return ("training", data.train), ("test", data.test)


def check_dataset(dataset: Dataset, paths: DataPaths | None = None) -> None:
    """Run every check on a dataset that can be had at `paths`; small ones are fast.

    Raises CheckFailure for the first that fails.
    """
    __tracebackhide__ = True
    kit.run(dataset, paths or DataPaths())
