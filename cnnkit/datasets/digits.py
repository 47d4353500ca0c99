"""Digits: a real dataset small enough to travel inside the package."""

from pathlib import Path
from typing import Literal

import numpy as np

from cnnkit.base import Data, DataPaths, Dataset, DatasetInfo
from cnnkit.datasets.arrays import assemble
from cnnkit.datasets.labels import Part

_FILE = Path(__file__).with_name("digits.npz")


class Digits(Dataset):
    """1 797 handwritten digits of 8x8 pixels, 10 classes; needs no network. (1, 8, 8)

    The test part of "Optical Recognition of Handwritten Digits", its values 0..16 scaled to
    0..255. Every fifth image of each class is a test image: 1 442 for training, 355 for test.

    Source: E. Alpaydin, C. Kaynak (1998), UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49, licence CC BY 4.0.
    """

    type: Literal["digits"] = "digits"

    def info(self, paths: DataPaths) -> DatasetInfo:
        return DatasetInfo((1, 8, 8), 10, tuple("0123456789"), 1442, validation=False)

    def load(self, paths: DataPaths) -> Data:
        with np.load(_FILE, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
        test = np.zeros(len(labels), bool)
        for one in range(10):
            test[np.flatnonzero(labels == one)[4::5]] = True
        train, held = (
            (Part(images[rows], _FILE), Part(labels[rows], _FILE)) for rows in (~test, test)
        )
        return assemble(self, {"train": train, "test": held})
