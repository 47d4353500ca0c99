"""Dataset: where images and labels come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, SerializeAsAny, model_validator

from cnnkit.arrays import Array, Shape
from cnnkit.base.component import Component, Option, Positive, Table, child, default, listed
from cnnkit.base.transform import Transform


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What can be known of a dataset without reading it: image shape (C, H, W), classes, names, how
    many images its training split has, and whether it may have a validation part of its own."""

    shape: Shape
    classes: int
    names: tuple[str, ...] = field(default=(), compare=False)
    train: int | None = field(default=None, compare=False)
    validation: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Split:
    """Images (N, C, H, W), uint8 or float32, and labels (N,) int64 in 0..classes-1."""

    images: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Data:
    """A loaded dataset; `classes` holds one display name per class, and `test` may be empty."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    validation: Split | None = None

    def splits(self) -> dict[str, Split]:
        """Return the parts that have images, by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in parts.items() if split is not None and len(split)}


@dataclass(frozen=True, slots=True)
class DataPaths:
    """Where a dataset may look for files.

    Args:
        spec_dir: relative paths in a spec start here.
        data_dir: `--data-dir` or CNNKIT_DATA_DIR: a folder of downloaded datasets.
        cache_dir: where downloads are kept.
        say: called with one line of news for the user, such as a download's start.
        progress: whether bars may be drawn on stderr.
    """

    spec_dir: Path = Path()
    data_dir: Path | None = None
    cache_dir: Path | None = None
    say: Callable[[str], None] = field(default=lambda line: None)
    progress: bool = False


class Dataset(Component, ABC):
    """A source of images with labels, split into training and test."""

    family: ClassVar[str] = "datasets"

    validation: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the training split set aside for validation, stratified by class; 0 means none.
    Data that comes with a validation part of its own is taken as it is."""
    folds: Annotated[int, Field(ge=2, le=1000)] | None = None
    """Cut the training split into so many parts, stratified by class: `cnnkit run` trains once for
    each, which it is validated on, and prints the mean and deviation of all figures."""
    fold: Positive | None = None
    """Which of the `folds` to validate on, from 1: a single run."""
    transforms: Option[
        Sequence[Transform | Table],
        Annotated[list[Annotated[SerializeAsAny[Transform], child("transforms")]], listed],
    ] = default(["scale"])
    """Applied to every image in this order; the default scales [0, 255] to [-0.5, 0.5]. A list
    replaces it: one that does not scale bytes lets them through as they are."""
    only: Annotated[list[Annotated[int, Field(ge=0)] | str], Field(min_length=2)] | None = None
    """Keep only the classes with these labels or names; the first becomes class 0, the next 1."""
    fallback: Option[
        Dataset | Table | None, Annotated[SerializeAsAny[Dataset], child("datasets")] | None
    ] = default(None)
    """Used, with a loud warning, where this dataset cannot be had."""

    @model_validator(mode="after")
    def _fold_is_one_of_the_folds(self) -> Self:
        if self.fold is not None and self.fold > (self.folds or 0):
            folds = f"there are {self.folds} folds" if self.folds else "the folds are missing"
            raise ValueError(f"fold = {self.fold} is none of them: {folds}; set folds = 5, say")
        return self

    def info(self, paths: DataPaths) -> DatasetInfo | None:
        """Return shape and class count without loading or downloading; None if unknown yet."""
        return None

    @abstractmethod
    def load(self, paths: DataPaths) -> Data:
        """Return the whole dataset, checked.

        Raises:
            DataError: where it cannot be had, or is not what it says it is.
        """
