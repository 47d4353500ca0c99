"""Every registered dataset against the kit; a type without a case fails."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from cnnkit.base import DataPaths
from cnnkit.datasets import (
    Cifar10,
    Csv,
    Digits,
    Emnist,
    FashionMnist,
    Idx,
    ImageFolder,
    Kmnist,
    Mnist,
    Npz,
)  # fmt: skip
from cnnkit.testing import check_dataset, options
from cnnkit.testing.tools import built_ins

HALVES = [name for name in Idx.model_fields if name.startswith(("train_", "test_"))]
IDX = {name: f"{name}.gz" for name in HALVES}
DATASETS = [
    Digits(validation=0.0, fallback=Digits()),
    Idx(**IDX),
    Npz(
        path="data.npz",
        classes=["no", "yes"],
        validation_images="x_test",
        validation_labels="y_test",
    ),
    Npz(path="data.npz", test=0.3),
    Csv(path="data.csv", size=[5, 4]),
    ImageFolder(path="pictures", size=[4, 3], mode="grayscale"),
]
DOWNLOADS = [
    FashionMnist(),
    Mnist(),
    Kmnist(),
    Emnist(),
    Cifar10(),
]  # of fixed size and hash: loaded by tests/datasets


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Write six training and four test images of 5x4 pixels in every format."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    arrays = {}
    for half, N in (("train", 6), ("test", 4)):
        arrays[f"{half}_images"] = rng.integers(0, 256, (N, 5, 4), np.uint8)
        arrays[f"{half}_labels"] = (np.arange(N) % 2).astype(np.uint8)
    for name, array in arrays.items():
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (folder / f"{name}.gz").write_bytes(gzip.compress(header + array.tobytes()))
    keras = {f"{'xy'[n[-6:] == 'labels']}_{n.partition('_')[0]}": a for n, a in arrays.items()}
    np.savez(folder / "data.npz", **keras)
    table = np.column_stack([arrays["train_labels"], arrays["train_images"].reshape(6, 20)])
    np.savetxt(folder / "data.csv", table, fmt="%d", delimiter=",")
    _write_pictures(folder / "pictures", arrays["train_images"])
    return DataPaths(spec_dir=folder)


def _write_pictures(folder, images):
    image = pytest.importorskip("PIL.Image")
    for k, pixels in enumerate(images):
        home = folder / ("cat", "dog")[k % 2]
        home.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(home / f"{k}.png")


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.type)
def test_datasets(dataset, paths):
    check_dataset(dataset, paths)


@pytest.mark.parametrize("check", options.kit.checks, ids=lambda check: check.name)
@pytest.mark.parametrize("dataset", DOWNLOADS, ids=lambda dataset: dataset.type)
def test_downloads(dataset, check):
    check(dataset)


def test_every_type_has_a_case():
    assert set(built_ins("datasets")) == {dataset.type for dataset in [*DATASETS, *DOWNLOADS]}
