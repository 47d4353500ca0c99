"""Fashion-MNIST and MNIST: where their files are looked for, and how they are known."""

from __future__ import annotations

import gzip
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from cnnkit.base import DataPaths, DatasetInfo
from cnnkit.datasets import FashionMnist, Mnist
from cnnkit.datasets.mnist import Published
from cnnkit.errors import DataError

ROLES = ("train_images", "train_labels", "test_images", "test_labels")
REAL = Path(os.environ.get("CNNKIT_DATA_DIR", "no such folder"))


@pytest.fixture
def files(arrays, to_idx, monkeypatch) -> dict[str, bytes]:
    """Four tiny files in place of the published ones; downloads fail the test."""
    packed = [gzip.compress(to_idx(arrays[role]), mtime=0) for role in ROLES]
    for cls in (FashionMnist, Mnist):
        monkeypatch.setattr(cls, "sha256", tuple(sha256(data).hexdigest() for data in packed))
        monkeypatch.setattr(cls, "mirrors", ())
    return dict(zip(Published.names, packed, strict=True))


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("cls", "below"),
    [
        (FashionMnist, "data/fashion_mnist"),
        (FashionMnist, "data/fashion-mnist"),
        (FashionMnist, "data"),
        (FashionMnist, "cache/fashion_mnist"),
        (Mnist, "data/mnist"),
        (Mnist, "data"),
        (Mnist, "cache/mnist"),
    ],
)
def test_found(tmp_path, files, arrays, cls, below):
    (tmp_path / "data").mkdir()
    fill(tmp_path / below, files)
    said: list[str] = []
    paths = DataPaths(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", say=said.append)
    data = cls().load(paths)
    assert data.name == cls.type_name()
    assert len(data.classes) == 10
    np.testing.assert_array_equal(data.train.images[:, 0], arrays["train_images"])
    np.testing.assert_array_equal(data.test.labels, arrays["test_labels"])
    assert said == []


def test_files_may_lie_apart(tmp_path, files, arrays):
    first, *rest = files.items()
    fill(tmp_path / "data", dict([first]))
    fill(tmp_path / "cache" / "mnist", dict(rest))
    paths = DataPaths(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(Mnist().load(paths).test.images[:, 0], arrays["test_images"])


def test_the_folder_of_its_name_comes_first(tmp_path, files):
    fill(tmp_path / "fashion-mnist", files)
    fill(tmp_path, dict.fromkeys(files, b"something else"))
    assert len(FashionMnist().load(DataPaths(data_dir=tmp_path, cache_dir=tmp_path)).train) == 6


def test_missing_data_folder_is_said(tmp_path, files):
    fill(tmp_path / "cache" / "mnist", files)
    said: list[str] = []
    paths = DataPaths(data_dir=tmp_path / "no", cache_dir=tmp_path / "cache", say=said.append)
    assert len(Mnist().load(paths).train) == 6
    assert said == [f"there is no data folder {tmp_path}/no"]


def test_intact_but_not_the_published_file(tmp_path, files, arrays, to_idx):
    """MNIST's files have the very names of Fashion-MNIST's: only the hash tells them apart."""
    other = gzip.compress(to_idx(arrays["train_images"] ^ 1), mtime=0)
    fill(tmp_path, {**files, "train-images-idx3-ubyte.gz": other})
    with pytest.raises(DataError) as caught:
        FashionMnist().load(DataPaths(data_dir=tmp_path, cache_dir=tmp_path / "cache"))
    assert type(caught.value) is DataError
    assert str(caught.value) == (
        "train-images-idx3-ubyte.gz is intact, but is not the one published as fashion_mnist\n"
        f"  --> {tmp_path}/train-images-idx3-ubyte.gz\n"
        f"   = expected: sha256 {FashionMnist.sha256[0]}\n"
        f"   = got: sha256 {sha256(other).hexdigest()}\n"
        "   = help: get the file anew from where it came; "
        'for files of your own use type = "idx"'
    )


def test_damage_is_explained_before_the_hash(tmp_path, files):
    name = "t10k-labels-idx1-ubyte.gz"
    fill(tmp_path, {**files, name: files[name][:15]})
    with pytest.raises(DataError) as caught:
        FashionMnist().load(DataPaths(data_dir=tmp_path, cache_dir=tmp_path / "cache"))
    assert type(caught.value) is DataError
    assert str(caught.value) == (
        f"{name} is cut short: its gzip stream has no end\n"
        f"  --> {tmp_path}/{name}\n"
        "   = got: 15 bytes\n"
        "   = help: get the file anew from where it came"
    )


def test_a_place_that_cannot_be_searched(tmp_path, files):
    with pytest.raises(DataError) as caught:
        Mnist().load(DataPaths(data_dir=tmp_path / ("x" * 300), cache_dir=tmp_path))
    assert str(caught.value) == (
        f"cannot look for {'x' * 300}: File name too long\n  --> {tmp_path}/{'x' * 300}"
    )


@pytest.mark.parametrize("cls", [FashionMnist, Mnist])
def test_info_needs_no_files(tmp_path, cls):
    assert cls().info(DataPaths(data_dir=tmp_path / "no")) == DatasetInfo((1, 28, 28), 10)


@pytest.mark.parametrize("cls", [FashionMnist, Mnist])
def test_constants(cls):
    assert all(len(digest) == 64 for digest in cls.sha256)
    assert len(set(cls.sha256)) == 4
    assert len(cls.mirrors) >= 2
    assert all(mirror.endswith("/") for mirror in cls.mirrors)
    assert len(cls.labels) == 10


@pytest.mark.skipif(
    not (REAL / "fashion-mnist").is_dir(), reason="CNNKIT_DATA_DIR holds no Fashion-MNIST"
)
def test_the_real_files(tmp_path):
    data = FashionMnist().load(DataPaths(data_dir=REAL, cache_dir=tmp_path))
    assert data.train.images.shape == (60000, 1, 28, 28)
    assert data.test.images.shape == (10000, 1, 28, 28)
    assert np.bincount(data.train.labels).tolist() == [6000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    # The mean pixel that every tutorial normalises by, 0.2860 of 255.
    assert round(float(data.train.images.mean()) / 255, 4) == 0.2860
    assert data.classes[data.train.labels[0]] == "Ankle boot"
    assert not list(tmp_path.iterdir())
