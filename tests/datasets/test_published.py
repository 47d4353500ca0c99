"""Fashion-MNIST and MNIST: where their files are looked for, and how they are known."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from cnnkit.base import DataPaths, DatasetInfo
from cnnkit.datasets import Cifar10, Emnist, FashionMnist, Kmnist, Mnist
from cnnkit.datasets.download import Remote
from cnnkit.errors import DataError

ROLES = ("train_images", "train_labels", "test_images", "test_labels")
REAL = Path(os.environ.get("CNNKIT_DATA_DIR", "no such folder"))


@pytest.fixture
def files(tmp_path, arrays, to_idx, monkeypatch) -> dict[str, bytes]:
    """Four tiny files in place of the published ones; downloads fail the test."""
    packed = [gzip.compress(to_idx(arrays[role]), mtime=0) for role in ROLES]
    names = [file.name for file in Mnist.files]
    remotes = [
        Remote(name, len(data), hash_of(data), hash_of(gzip.decompress(data)))
        for name, data in zip(names, packed, strict=True)
    ]
    for cls in (FashionMnist, Mnist, Kmnist):
        monkeypatch.setattr(cls, "files", tuple(remotes))
        monkeypatch.setattr(cls, "mirrors", ())
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return dict(zip(names, packed, strict=True))


def hash_of(data: bytes) -> str:
    return sha256(data).hexdigest()


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
        (Mnist, "data/MNIST/raw"),
        (FashionMnist, "data/FashionMNIST/raw"),
        (FashionMnist, "keras/datasets/fashion-mnist"),
        (Kmnist, "data/KMNIST/raw"),
        (Kmnist, "cache/kmnist"),
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
        f"   = expected: sha256 {FashionMnist.files[0].sha256}\n"
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


@pytest.mark.parametrize("below", ["data/FashionMNIST/raw", "data", "data/fashion-mnist"])
def test_unpacked_files(tmp_path, files, arrays, below):
    plain = {name.removesuffix(".gz"): gzip.decompress(data) for name, data in files.items()}
    fill(tmp_path / below, plain)
    paths = DataPaths(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    data = FashionMnist().load(paths)
    np.testing.assert_array_equal(data.test.images[:, 0], arrays["test_images"])
    name = "t10k-images-idx3-ubyte"
    changed = bytearray(plain[name])
    changed[-1] ^= 1
    fill(tmp_path / below, {name: bytes(changed)})
    with pytest.raises(DataError) as caught:
        FashionMnist().load(paths)
    assert str(caught.value) == (
        f"{name} is intact, but is not the one published as fashion_mnist\n"
        f"  --> {tmp_path}/{below}/{name}\n"
        f"   = expected: sha256 {hash_of(plain[name])}\n"
        f"   = got: sha256 {hash_of(bytes(changed))}\n"
        "   = help: get the file anew from where it came; "
        'for files of your own use type = "idx"'
    )


def test_other_files_where_keras_keeps_its_own_are_left_alone(tmp_path, files):
    fill(tmp_path / "keras" / "datasets" / "fashion-mnist", dict.fromkeys(files, b"other"))
    fill(tmp_path / "cache" / "fashion_mnist", files)
    assert len(FashionMnist().load(DataPaths(cache_dir=tmp_path / "cache")).train) == 6


PUBLISHED = [FashionMnist, Mnist, Kmnist, Emnist, Cifar10]


@pytest.mark.parametrize("cls", PUBLISHED)
def test_info_needs_no_files(tmp_path, cls):
    shape, classes = {Cifar10: ((3, 32, 32), 10), Emnist: ((1, 28, 28), 47)}.get(
        cls, ((1, 28, 28), 10)
    )
    info = cls().info(DataPaths(data_dir=tmp_path / "no"))
    assert info == DatasetInfo(shape, classes)
    assert len(info.names) == classes


@pytest.mark.parametrize("cls", PUBLISHED)
def test_constants(cls):
    hashes = [h for file in cls.files for h in (file.sha256, file.plain) if h]
    assert all(len(digest) == 64 for digest in hashes)
    assert len(set(hashes)) == len(hashes)
    assert all(file.size > 4000 for file in cls.files)
    assert len(cls.mirrors) >= 2
    assert all(mirror.endswith("/") for mirror in cls.mirrors)


def serve(cls, tmp_path, monkeypatch, data: bytes) -> DataPaths:
    """Publish `data` in place of the dataset's one file, in a folder."""
    (file,) = cls.files
    fill(tmp_path / "www", {file.name: data})
    monkeypatch.setattr(cls, "files", (Remote(file.name, len(data), hash_of(data)),))
    monkeypatch.setattr(cls, "mirrors", ((tmp_path / "www").as_uri() + "/",))
    return DataPaths(cache_dir=tmp_path / "cache")


def test_cifar10(tmp_path, monkeypatch):
    rng, stream = np.random.default_rng(0), io.BytesIO()
    names = [f"data_batch_{n}.bin" for n in (2, 1, 3, 4, 5)] + ["test_batch.bin"]
    records = {name: rng.integers(0, 256, (2, 3073), np.uint8) for name in names}
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, batch in records.items():
            batch[:, 0] = [0, 9]
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = batch.nbytes
            archive.addfile(info, io.BytesIO(batch.tobytes()))
        archive.addfile(tarfile.TarInfo("cifar-10-batches-bin/readme.html"))
    data = Cifar10().load(serve(Cifar10, tmp_path, monkeypatch, stream.getvalue()))
    assert data.train.images.shape == (10, 3, 32, 32)
    assert data.test.labels.tolist() == [0, 9]
    assert data.classes[9] == "truck"
    first = records["data_batch_1.bin"][0, 1:].tolist()  # red, green and blue, row by row
    assert data.train.images[0].ravel().tolist() == first
    assert data.train.images[0, 2, 31, 31] == first[-1]


@pytest.mark.parametrize(
    ("subset", "count", "last"),
    [("balanced", 47, "t"), ("letters", 26, "Z"), ("digits", 10, "9"), ("byclass", 62, "z")],
)
def test_emnist(tmp_path, monkeypatch, to_idx, subset, count, last):
    images = np.random.default_rng(1).integers(0, 256, (3, 28, 28), np.uint8)
    labels = np.array([0, 1, count - 1], np.uint8) + (subset == "letters")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for part in ("train", "test"):
            for role, rank, array in (("images", 3, images), ("labels", 1, labels)):
                name = f"gzip/emnist-{subset}-{part}-{role}-idx{rank}-ubyte.gz"
                archive.writestr(name, gzip.compress(to_idx(array)))
    said: list[str] = []
    paths = serve(Emnist, tmp_path, monkeypatch, stream.getvalue())
    data = Emnist(subset=subset).load(replace(paths, say=said.append))
    np.testing.assert_array_equal(data.train.images[:, 0], images.transpose(0, 2, 1))
    assert data.test.labels.tolist() == [0, 1, count - 1]
    assert (len(data.classes), data.classes[-1]) == (count, last)
    assert said == [f"downloading {Emnist.mirrors[0]}gzip.zip"]


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
