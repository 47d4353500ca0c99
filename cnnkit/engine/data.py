"""Load the dataset a spec names, or the fallback it names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnkit.base import Data, Dataset, Places, Split
from cnnkit.errors import DataError, DataUnavailable


def load_data(dataset: Dataset, places: Places, allow_fallback: bool) -> tuple[Data, Dataset]:
    """Return the loaded data and the dataset that supplied it: `dataset` or its fallback.

    Only data that cannot be had is replaced, with a loud warning through `places.say`. Data that
    is there and damaged is an error always: training on something else would hide it.

    Raises:
        DataUnavailable: where neither can be had, or `allow_fallback` is False.
        DataError: where the data found is not what it says it is.
    """
    try:
        return choose_classes(dataset.load(places), dataset.only), dataset
    except DataUnavailable as error:
        if dataset.fallback is None:
            raise
        if not allow_fallback:
            raise DataUnavailable(
                f"{error}\n   = note: --no-fallback forbids training on "
                f"{dataset.fallback.type} instead"
            ) from error
        cause, *details = str(error).splitlines()
        remedy = [line for line in details if line.startswith("   = help:")]
        loud = f"WARNING: {dataset.type} cannot be had, so this run uses {dataset.fallback.type} "
        places.say("\n".join([f"{loud}instead: {cause}", *remedy]))
    return load_data(dataset.fallback, places, allow_fallback)


def choose_classes(data: Data, only: Sequence[int] | None) -> Data:
    """Return the data of the classes `only`, renumbered in that order; all of it for None.

    Raises:
        DataError: where a label is named twice, or the data has no such class.
    """
    if only is None:
        return data
    missing = [label for label in only if label >= len(data.classes)]
    if missing or len(set(only)) != len(only):
        raise DataError(
            f"{data.name}: only = {list(only)} does not name different classes; "
            f"expected labels from 0 to {len(data.classes) - 1}, each once"
        )
    train, test = (_renumber(split, only) for split in (data.train, data.test))
    absent = set(range(len(only))) - set(train.labels.tolist())
    if absent or not len(test):
        what = f"images to train on of class {only[min(absent)]}" if absent else "test images"
        raise DataError(f"{data.name}: only = {list(only)} leaves no {what}")
    return Data(data.name, train, test, tuple(data.classes[label] for label in only))


def _renumber(split: Split, only: Sequence[int]) -> Split:
    rows = np.flatnonzero(np.isin(split.labels, only))
    order = np.argsort(only)
    labels = order[np.searchsorted(np.asarray(only)[order], split.labels[rows])]
    return Split(split.images[rows], labels)
