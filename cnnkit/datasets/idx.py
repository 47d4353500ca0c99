"""Idx: your own data in the format of MNIST."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cnnkit.base import Data, Dataset, Places, Signature
from cnnkit.datasets.assemble import Source, assemble
from cnnkit.datasets.idx_file import Role, idx_shape, read_idx
from cnnkit.datasets.images import Layout, nchw_shape
from cnnkit.datasets.labels import class_names, to_labels
from cnnkit.datasets.options import ClassNames, PathText
from cnnkit.datasets.reading import exists


class Idx(Dataset):
    """Any four IDX files, gzipped or plain.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W), labels (N,).
    """

    type: Literal["idx"] = "idx"

    train_images: PathText
    """File of the training images; relative to the spec's folder, like the other three."""
    train_labels: PathText
    """File of the training labels."""
    test_images: PathText
    """File of the test images."""
    test_labels: PathText
    """File of the test labels."""
    classes: ClassNames | None = None
    """Names of the classes; without them, the training labels must use 0, 1, 2, ... all."""
    layout: Layout = "auto"
    """Where channels sit, "chw" or "hwc"; "auto" looks for the axis that has 1 or 3 of them."""

    def signature(self, places: Places) -> Signature | None:
        """Read the header of the images and, where no classes are named, the labels."""
        images = places.spec_dir / self.train_images
        labels = places.spec_dir / self.train_labels
        if not (exists(images) and exists(labels)):
            return None
        shape = nchw_shape(idx_shape(images, "images"), images, self.layout)[1:]
        names = self.classes or class_names(
            to_labels(read_idx(labels, "labels"), labels), labels, None
        )
        return Signature(shape, len(names))

    def load(self, places: Places) -> Data:
        def read(name: str, role: Role) -> Source:
            path: Path = places.spec_dir / name
            return Source(read_idx(path, role), path)

        return assemble(
            self,
            (read(self.train_images, "images"), read(self.train_labels, "labels")),
            (read(self.test_images, "images"), read(self.test_labels, "labels")),
            self.classes,
            self.layout,
        )
