"""The data of a run: where it may be, loaded, and its validation part set aside."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnnkit.base import Data, DataPaths, Dataset, Split
from cnnkit.base.contract import checked_data
from cnnkit.errors import DataError, DataUnavailable
from cnnkit.specfile.checks import class_labels
from cnnkit.specfile.runspec import RunSpec
from cnnkit.split import stratified_folds, stratified_sample, stratified_split, take


def parts_of(data: Data, dataset: Dataset, seed: int, subset: int | None = None) -> Data:
    """Return the data with a validation part: a fold of the training part, its own, or a share of
    the training part; none where that is less than an image of any class.

    Args:
        subset: of what is left to train on, how many images are kept, those of each class alike.

    Raises:
        DataError: where there are more folds than images.
    """
    parts = _with_validation(data, dataset, seed)
    if subset is None:
        return parts
    rows = stratified_sample(parts.train.labels, subset, seed)
    return replace(parts, train=take(parts.train, rows))


def _with_validation(data: Data, dataset: Dataset, seed: int) -> Data:
    if dataset.folds is not None:
        return _fold_of(data, dataset.folds, dataset.fold or 1, seed)
    if data.validation is not None:
        return data
    kept, aside = stratified_split(data.train.labels, dataset.validation, seed)
    if not len(aside):
        return data
    return replace(data, train=take(data.train, kept), validation=take(data.train, aside))


def _fold_of(data: Data, folds: int, fold: int, seed: int) -> Data:
    if folds > len(data.train):
        raise DataError(f"{data.name}: {folds} folds of {len(data.train)} images to train on; "
                        "expected no more folds than images")  # fmt: skip
    aside = stratified_folds(data.train.labels, folds, seed) == fold - 1
    kept, held = np.flatnonzero(~aside), np.flatnonzero(aside)
    return replace(data, train=take(data.train, kept), validation=take(data.train, held))


def fallback_of(dataset: Dataset) -> Dataset | None:
    """Return what stands in for a dataset, with the same folds."""
    folds = {"folds": dataset.folds, "fold": dataset.fold}
    if dataset.fallback is None or dataset.folds is None:
        return dataset.fallback
    return dataset.fallback.model_copy(update=folds)


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
        if (fallback := fallback_of(dataset)) is None:
            raise
        if not allow_fallback:
            raise DataUnavailable(
                f"{error}\n   = note: --no-fallback forbids training on {fallback.type} instead"
            ) from error
        cause, *details = str(error).splitlines()
        remedy = [line for line in details if line.startswith("   = help:")]
        loud = f"WARNING: {dataset.type} cannot be had, so this run uses {fallback.type} "
        paths.say("\n".join([f"{loud}instead: {cause}", *remedy]))
    return load_data(fallback, paths, allow_fallback)


def choose_classes(data: Data, only: Sequence[int | str] | None) -> Data:
    """Return the data of the classes `only`, renumbered in that order; all of it for None.

    Raises:
        DataError: where a class is named twice, or the data has no such class.
    """
    if only is None:
        return data
    labels = class_labels(only, data.classes)
    known = [one for one in labels if isinstance(one, int) and one < len(data.classes)]
    if len(set(known)) != len(only):
        raise DataError(
            f"{data.name}: only = {list(only)} does not name different classes; "
            f"expected labels from 0 to {len(data.classes) - 1}, or names, each once"
        )
    train, test = _renumber(data.train, known), _renumber(data.test, known)
    validation = _renumber(data.validation, known) if data.validation else None
    absent = set(range(len(only))) - set(train.labels.tolist())
    if absent or (len(data.test) and not len(test)):
        what = f"images to train on of class {only[min(absent)]}" if absent else "test images"
        raise DataError(f"{data.name}: only = {list(only)} leaves no {what}")
    names = tuple(data.classes[label] for label in known)
    return Data(data.name, train, test, names, validation or None)


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
