"""Npz: your own data in NumPy's format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cnnkit.base import Data, Dataset, Places, Signature
from cnnkit.datasets.assemble import Source, assemble
from cnnkit.datasets.images import Layout, nchw_shape
from cnnkit.datasets.labels import class_names, to_labels
from cnnkit.datasets.npz_file import npz_shape, read_npz
from cnnkit.datasets.options import ClassNames, PathText
from cnnkit.datasets.reading import exists


class Npz(Dataset):
    """Four arrays in one npz file, as `numpy.savez` and `numpy.savez_compressed` write it.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W); labels (N,) or (N, 1).
    """

    type: Literal["npz"] = "npz"

    path: PathText
    """The file; relative to the spec's folder."""
    train_images: str = "x_train"
    """Name of the array of training images."""
    train_labels: str = "y_train"
    """Name of the array of training labels."""
    test_images: str = "x_test"
    """Name of the array of test images."""
    test_labels: str = "y_test"
    """Name of the array of test labels."""
    classes: ClassNames | None = None
    """Names of the classes; without them, the training labels must use 0, 1, 2, ... all."""
    layout: Layout = "auto"
    """Where channels sit, "chw" or "hwc"; "auto" looks for the axis that has 1 or 3 of them."""

    def signature(self, places: Places) -> Signature | None:
        """Read the header of the images and, where no classes are named, the labels."""
        path = places.spec_dir / self.path
        if not exists(path):
            return None
        images = npz_shape(path, self.train_images)
        shape = nchw_shape(images, f"{path} ({self.train_images})", self.layout)[1:]
        if self.classes:
            return Signature(shape, len(self.classes))
        labels = _read(path, self.train_labels)
        names = class_names(to_labels(labels.array, labels.where), labels.where, None)
        return Signature(shape, len(names))

    def load(self, places: Places) -> Data:
        path = places.spec_dir / self.path
        return assemble(
            self,
            (_read(path, self.train_images), _read(path, self.train_labels)),
            (_read(path, self.test_images), _read(path, self.test_labels)),
            self.classes,
            self.layout,
        )


def _read(path: Path, name: str) -> Source:
    return Source(read_npz(path, name), f"{path} ({name})")
