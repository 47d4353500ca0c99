"""R5: damaged data: an error that names the file, in bounded memory, or the data as they were."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from damage import DAMAGES

from cnnkit import Model
from cnnkit.base import Data, DataPaths, Dataset
from cnnkit.cli import main
from cnnkit.datasets import Idx, ImageFolder, Npz
from cnnkit.errors import DataError
from cnnkit.layers import Softmax

pytestmark = pytest.mark.reliability

MEMORY = 40_000_000  # bytes, for files of some hundred
QUICK, FULL = 60, 1050  # of each kind of file


def same(a: Data, b: Data) -> bool:
    pairs = [(a.train, b.train), (a.test, b.test)]
    return a.classes == b.classes and all(
        np.array_equal(x.images, y.images) and np.array_equal(x.labels, y.labels) for x, y in pairs
    )


def measured(dataset: Dataset, paths: DataPaths) -> tuple[Data | str, int]:
    """Return the data, or the text of the DataError, and the most bytes allocated on the way."""
    result: Data | str
    tracemalloc.start()
    try:
        result = dataset.load(paths)
        dataset.info(paths)
    except DataError as error:
        result = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak


def attack(cases, dataset: Dataset, folder: Path, names: list[str], inside=False, exact=True):
    """Damage the files in turn; `inside` damages what the gzip holds, its checksum renewed.

    Where nothing in a file tells that its bytes are other ones, only the kind of exception, the
    file's name and the memory are judged.
    """
    paths = DataPaths(spec_dir=folder)
    whole = dataset.load(paths)
    for case in cases(quick=QUICK, full=FULL):
        path = folder / names[case.number % len(names)]
        good = path.read_bytes()
        damage = DAMAGES[case.number // len(names) % len(DAMAGES)]
        body = bytearray(gzip.decompress(good) if inside else good)
        damaged = damage(body, case.rng)
        path.write_bytes(gzip.compress(damaged) if inside else damaged)
        result, memory = measured(dataset, paths)
        told = f"{damage.__name__}: {result}"
        if isinstance(result, str):
            assert str(path) in result, told
        else:
            assert inside or not exact or same(result, whole), told
        assert memory < MEMORY, told
        path.write_bytes(good)


def test_gzipped_idx(cases, tmp_path, four):
    attack(cases, Idx(**four), tmp_path, list(four.values()))


def test_idx_behind_a_right_checksum(cases, tmp_path, four):
    attack(cases, Idx(**four, classes=["a", "b"]), tmp_path, list(four.values()), inside=True)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(cases, tmp_path, arrays, save):
    save(tmp_path / "d.npz", **arrays)
    attack(cases, Npz(path="d.npz", **{name: name for name in arrays}), tmp_path, ["d.npz"])


@pytest.mark.parametrize("suffix", ["png", "jpeg", "gif", "bmp"])
def test_pictures(cases, tmp_path, suffix):
    """Of these formats only PNG has checksums."""
    rng, names = np.random.default_rng(0), []
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(3):
            names.append(f"pictures/{name}/{i}.{suffix}")
            PIL.Image.fromarray(rng.integers(0, 256, (9, 8), np.uint8)).save(tmp_path / names[-1])
    dataset = ImageFolder(path="pictures", mode="grayscale", size=(9, 8))
    attack(cases, dataset, tmp_path, names, exact=suffix == "png")


@pytest.fixture
def predict(tmp_path, monkeypatch, capsys):
    """Name the classes of a file; return exit code and news."""
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    model = tmp_path / "model.safetensors"
    Model.build([Softmax(units=2)], (1, 5, 4), classes=["a", "b"]).save(model)

    def call(file: Path) -> tuple[int, str]:
        code = main(["predict", str(model), str(file)])
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.png"])
def test_what_is_predicted(cases, tmp_path, arrays, predict, name):
    path, images = tmp_path / name, arrays["train_images"]
    if name == "x.png":
        PIL.Image.fromarray(images[0]).save(path)
    else:
        {"x.npy": np.save, "x.npz": np.savez}[name](path, images)
    good = path.read_bytes()
    assert predict(path)[0] == 0
    for case in cases(quick=QUICK // 2, full=FULL):
        path.write_bytes(DAMAGES[case.number % len(DAMAGES)](bytearray(good), case.rng))
        code, err = predict(path)
        assert code in (0, 2), err
        assert code == 0 or str(path) in err


PAGE = b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>"


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def bomb(size: int = 1 << 24) -> bytes:
    """Return an archive whose array expands a thousand times."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_images.npy", npy(np.zeros((size // 20, 5, 4), np.uint8)))
    return buffer.getvalue()


def many(count: int = 60_000) -> bytes:
    """Return an archive of so many tiny arrays."""
    buffer, member = io.BytesIO(), npy(np.zeros(1, np.uint8))
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.npy", member)
    return buffer.getvalue()


IDX = {  # of four files the one named; what is done to its bytes, unpacked
    "empty": ("train_images", lambda good: b""),
    "a page": ("train_images", lambda good: PAGE),
    "a page for labels": ("test_labels", lambda good: PAGE),
    "magic": ("train_images", lambda good: b"\1" + good[1:]),
    "type of number": ("train_images", lambda good: good[:2] + b"\x0a" + good[3:]),
    "count": ("train_images", lambda good: good[:4] + b"\0\0\0\7" + good[8:]),
    "count of labels": ("train_labels", lambda good: good[:4] + b"\0\0\0\7" + good[8:]),
    "huge count": ("train_images", lambda good: good[:4] + b"\xff" * 4 + good[8:]),
    "huge image": ("train_images", lambda good: good[:8] + b"\xff" * 8 + good[16:]),
    "no image": ("train_images", lambda good: good[:4] + bytes(4) + good[8:]),
    "cut": ("test_images", lambda good: good[:-1]),
    "more": ("test_images", lambda good: good + b"\0"),
    "label 255": ("train_labels", lambda good: good[:-1] + b"\xff"),
    "test label 2": ("test_labels", lambda good: good[:-1] + b"\2"),
    "a bomb": ("train_images", lambda good: good[:4] + b"\0\1\0\0" + good[8:] + bytes(1 << 24)),
}
SPEC = """
name = "damaged"
data = {{ type = "{type}", validation = 0.0, {options} }}
model = {{ layers = [{{ type = "softmax", units = 2 }}] }}
loss = "cross_entropy"
optimizer = {{ type = "sgd", lr = 0.1 }}
train = {{ epochs = 1, batch = 2, threads = 1 }}
"""


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a spec over damaged data: exit 2, the file named, memory bounded, nothing trained."""
    monkeypatch.setenv("CNNKIT_PLUGINS", "")

    def run(kind: str, options: dict[str, str], file: str) -> None:
        inside = ", ".join(f'{name} = "{value}"' for name, value in options.items())
        (tmp_path / "spec.toml").write_text(SPEC.format(type=kind, options=inside))
        tracemalloc.start()
        code = main(["run", str(tmp_path / "spec.toml"), "--out", str(tmp_path / "run")])
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        err = capsys.readouterr().err
        assert (code, err.startswith("error: "), file in err) == (2, True, True), err
        assert memory < MEMORY
        assert not (tmp_path / "run").exists()

    return run


@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "plain"])
def test_idx_by_hand(cases, tmp_path, four, refused, packed):
    for name, (role, spoil) in cases.of(IDX.items()):
        path = tmp_path / four[role]
        good = path.read_bytes()
        spoilt = spoil(gzip.decompress(good))
        path.write_bytes(gzip.compress(spoilt) if packed else spoilt)
        refused("idx", four, "swapped" if name == "swapped" else path.name)
        path.write_bytes(good)


def test_images_and_labels_swapped(cases, four, refused):
    for pair in cases.of(["train", "test"]):
        images, labels = f"{pair}_images", f"{pair}_labels"
        refused("idx", four | {images: four[labels], labels: four[images]}, four[labels])


def test_npz_by_hand(cases, tmp_path, arrays, refused):
    labels = {"train_labels": arrays["train_labels"]}
    rows = {
        "empty": b"",
        "a page": PAGE,
        "an array": npy(arrays["train_images"]),
        "a bomb": bomb(),
        "60 000 members": many(),
        "label 255": labels["train_labels"] | 255,
        "no member": {},
        "words": {**arrays, "train_labels": np.array(list("ababab"))},
        "objects": {**arrays, "train_labels": np.array([{}] * 6, object)},
        "one label too few": {**arrays, "train_labels": arrays["train_labels"][1:]},
        "no images": {**arrays, "train_images": arrays["train_images"][:0]},
        "NaN": {**arrays, "train_images": np.full((6, 5, 4), np.nan)},
        "complex": {**arrays, "train_images": arrays["train_images"].astype(complex)},
        "records": {**arrays, "train_images": np.zeros(6, "u1,u1")},
        "no bytes": {**arrays, "train_images": np.zeros((6, 5, 4), "V0")},
        "swapped": arrays | {"train_images": arrays["train_labels"]},
    }
    rows["label 255"] = {**arrays, "train_labels": arrays["train_labels"] | 254}
    options = {"path": "d.npz", **{name: name for name in arrays}}
    for _, content in cases.of(rows.items()):
        if isinstance(content, bytes):
            (tmp_path / "d.npz").write_bytes(content)
        else:
            np.savez(tmp_path / "d.npz", **content)
        refused("npz", options, "d.npz")
