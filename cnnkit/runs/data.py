"""The data of a run: where it may be, loaded, and its validation part set aside."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import Data, DataPaths, Dataset, Split
from cnnkit.base.contract import checked_data
from cnnkit.base.layer import generator
from cnnkit.errors import DataError, DataUnavailable
from cnnkit.specfile.runspec import RunSpec


def stratified_split(labels: Array, share: float, seed: int) -> tuple[Array, Array]:
    """Return (training indices, validation indices): sorted, disjoint, together all of them.

    Each class gives `share` of its samples, rounded to the nearest count, but never its last one:
    a class with a single sample stays in training. The result depends on the arguments alone.

    Args:
        labels: class indices, (N,) integers.
        share: fraction set aside, 0 <= share < 1.
        seed: any whole number from 0 to 2**64 - 1.

    >>> train, validation = stratified_split(np.array([0, 0, 1, 1, 2]), share=0.5, seed=0)
    >>> len(train), len(validation)
    (3, 2)
    """
    rng = generator((seed, 0, 0, 0), "validation split")
    aside = np.zeros(len(labels), bool)
    for one in np.unique(labels):
        members = np.flatnonzero(labels == one)
        count = min(int(share * len(members) + 0.5), len(members) - 1)
        aside[rng.permutation(members)[:count]] = True
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def split_off(data: Split, share: float, seed: int) -> tuple[Split, Split | None]:
    """Return the part to train on and the `share` that judges progress, None for no images."""
    parts = stratified_split(data.labels, share, seed)
    if not len(parts[1]):
        return data, None
    train, validation = (Split(data.images[rows], data.labels[rows]) for rows in parts)
    return train, validation


def load_data(dataset: Dataset, paths: DataPaths, allow_fallback: bool) -> tuple[Data, Dataset]:
    """Return the loaded data and the dataset that supplied it: `dataset` or its fallback.

    Only data that cannot be had is replaced, with a loud warning through `paths.say`. Data that
    is there and damaged is an error always: training on something else would hide it.

    Raises:
        DataUnavailable: where neither can be had, or `allow_fallback` is False.
        DataError: where the data found is not what it says it is.
    """
    try:
        loaded = checked_data(dataset, dataset.load(paths))
        return choose_classes(loaded, dataset.only), dataset
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
        paths.say("\n".join([f"{loud}instead: {cause}", *remedy]))
    return load_data(dataset.fallback, paths, allow_fallback)


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


def data_paths(
    spec: RunSpec,
    data_dir: Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: bool = False,
) -> DataPaths:
    """Return where the spec's dataset may look: `data_dir`, else CNNKIT_DATA_DIR, and the cache.

    Raises:
        DataError: where there is no folder `data_dir`: somebody meant it, and mistyped.
    """
    if data_dir and not data_dir.is_dir():
        raise DataError(
            f"there is no data folder {data_dir}\n"
            "   = expected: a folder of downloaded datasets, which holds fashion-mnist, say"
        )
    folder = data_dir or data_folder()
    paths = DataPaths(spec_dir=spec.source.folder, data_dir=folder, progress=progress)
    return replace(paths, say=say) if say else paths


def data_folder() -> Path | None:
    """Return the folder of datasets that CNNKIT_DATA_DIR names, if it does."""
    from_environment = os.environ.get("CNNKIT_DATA_DIR")
    return Path(from_environment) if from_environment else None
