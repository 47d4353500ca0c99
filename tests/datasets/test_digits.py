"""The digits that travel inside the package."""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from cnnkit.base import DataPaths, DatasetInfo
from cnnkit.datasets import Digits


def test_digits(tmp_path):
    data = Digits().load(DataPaths(data_dir=tmp_path / "no"))
    assert data.name == "digits"
    assert data.classes == tuple("0123456789")
    assert data.train.images.shape == (1442, 1, 8, 8)
    assert data.test.images.shape == (355, 1, 8, 8)
    assert Digits().info(DataPaths()) == DatasetInfo(data.train.images.shape[1:], 10)
    # As many of each class as the UCI page counts in its test part, a fifth of them for test.
    counts = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert np.bincount(data.test.labels).tolist() == (counts // 5).tolist()
    assert np.bincount(data.train.labels).tolist() == (counts - counts // 5).tolist()


def test_first_digit():
    """The zero that opens the UCI file, its values 0..16 as published, times 255 / 16."""
    first = [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
        [0, 4, 12, 0, 0, 8, 8, 0],
        [0, 5, 8, 0, 0, 9, 8, 0],
        [0, 4, 11, 0, 1, 12, 7, 0],
        [0, 2, 14, 5, 10, 12, 0, 0],
        [0, 0, 6, 13, 10, 0, 0, 0],
    ]
    train = Digits().load(DataPaths()).train
    assert train.labels[0] == 0
    assert train.images[0, 0].tolist() == [[round(v * 255 / 16) for v in row] for row in first]


def test_bytes_are_pinned():
    """Made by np.rint(load_digits().images * 255 / 16).astype(np.uint8), scikit-learn 1.9."""
    data = Digits().load(DataPaths())
    digest = sha256()
    for split in (data.train, data.test):
        digest.update(split.images.tobytes() + split.labels.astype(np.uint8).tobytes())
    assert digest.hexdigest() == "9f66296b618a7657d1dff99bb57a177ab02e95b9139bbcc993bff2c1786898ee"
