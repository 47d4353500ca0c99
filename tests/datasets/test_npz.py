"""The dataset npz, and every way its file can be wrong."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnnkit.base import DataPaths, DatasetInfo
from cnnkit.datasets import Npz
from cnnkit.errors import DataError, DataUnavailable

NAMES = {"x_train": "train_images", "y_train": "train_labels"} | {
    "x_test": "test_images",
    "y_test": "test_labels",
}


@pytest.fixture
def named(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: arrays[of] for name, of in NAMES.items()}


def load(path: Path, **options: object):
    return Npz(path=path.name, **options).load(DataPaths(spec_dir=path.parent))


def message(path: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options)
    assert type(caught.value) is DataError
    return str(caught.value).replace(str(path.parent), "DIR")


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as written:
        for name, data in members.items():
            written.writestr(name, data)
    return path


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_loads_what_was_written(tmp_path, named, save):
    save(tmp_path / "d.npz", **named)
    data = load(tmp_path / "d.npz")
    assert data.name == "npz"
    assert data.classes == ("0", "1")
    for split, half in ((data.train, "train"), (data.test, "test")):
        np.testing.assert_array_equal(split.images[:, 0], named[f"x_{half}"])
        np.testing.assert_array_equal(split.labels, named[f"y_{half}"])
    info = Npz(path="d.npz").info(DataPaths(spec_dir=tmp_path))
    assert info == DatasetInfo((1, 5, 4), 2)


def test_other_names_fortran_order_and_big_endian(tmp_path, arrays):
    arrays["train_images"] = np.asfortranarray(arrays["train_images"].astype(">f8"))
    arrays["test_images"] = arrays["test_images"].astype("<f4")
    np.savez(tmp_path / "d.npz", **arrays)
    options = {name: name for name in arrays} | {"classes": ["a", "b"], "transforms": []}
    data = load(tmp_path / "d.npz", **options)
    np.testing.assert_array_equal(data.train.images[:, 0], arrays["train_images"])
    info = Npz(path="d.npz", **options).info(DataPaths(spec_dir=tmp_path))
    assert info == DatasetInfo((1, 5, 4), 2)


def test_a_share_for_test(tmp_path, named):
    np.savez(tmp_path / "d.npz", **named)
    said: list[str] = []
    dataset = Npz(path="d.npz", test=0.4)
    data = dataset.load(DataPaths(spec_dir=tmp_path, say=said.append))
    assert said == ["note: arrays in d.npz that are not used: x_test, y_test"]
    assert (len(data.train), len(data.test), data.validation) == (4, 2, None)
    assert sorted(data.test.labels) == [0, 1]
    shuffled = {tuple(load(tmp_path / "d.npz", test=0.4, seed=s).test.labels) for s in range(9)}
    assert len(shuffled) == 2
    assert message(tmp_path / "d.npz", test=0.1) == (
        "no image is left for test: 0.1 of each class is less than one\n"
        "  --> DIR/d.npz (y_train)\n"
        "   = got: at most 3 of a class\n"
        "   = help: raise test, or add images"
    )


def test_arrays_for_validation(tmp_path, named):
    extra = {"x_val": named["x_test"], "y_val": named["y_test"], "names": np.array(["a"])}
    np.savez(tmp_path / "d.npz", **named, **extra)
    said: list[str] = []
    data = Npz(path="d.npz").load(DataPaths(spec_dir=tmp_path, say=said.append))
    assert said == ["note: arrays in d.npz that are not used: names"]
    np.testing.assert_array_equal(data.validation.images, data.test.images)
    options = {"validation_images": "x_test", "validation_labels": "y_test"}
    assert len(load(tmp_path / "d.npz", **options).validation) == 4
    text = message(tmp_path / "d.npz", validation_images="x_valid")
    assert text.startswith("there is no array x_valid in d.npz\n")


def test_matlabs_axes(tmp_path, named):
    grey = {name: np.moveaxis(a, 0, -1) if name[0] == "x" else a[None] for name, a in named.items()}
    np.savez(tmp_path / "d.npz", **grey)
    assert message(tmp_path / "d.npz") == (
        "there must be one label per image\n"
        "  --> DIR/d.npz (y_train)\n"
        "   = expected: 5 labels, for the images in DIR/d.npz (x_train)\n"
        "   = got: 6 labels\n"
        '   = help: the images seem to lie in the last axis: write layout = "hwcn" in [data]'
    )
    data = load(tmp_path / "d.npz", layout="hwcn")
    np.testing.assert_array_equal(data.train.images[:, 0], named["x_train"])
    info = Npz(path="d.npz", layout="hwcn").info(DataPaths(spec_dir=tmp_path))
    assert info == DatasetInfo((1, 5, 4), 2)


def test_missing_file(tmp_path):
    with pytest.raises(DataUnavailable) as caught:
        load(tmp_path / "d.npz")
    assert str(caught.value) == f"there is no file d.npz\n  --> {tmp_path}/d.npz"
    assert Npz(path="d.npz").info(DataPaths(spec_dir=tmp_path)) is None


def test_missing_array(tmp_path, arrays):
    np.savez(tmp_path / "d.npz", **arrays)
    assert message(tmp_path / "d.npz") == (
        "there is no array x_train in d.npz\n"
        "  --> DIR/d.npz\n"
        "   = got: train_images, train_labels, test_images, test_labels\n"
        "   = help: name the arrays with train_images, train_labels, test_images and test_labels; "
        "where there are none for test, take a share: test = 0.2; "
        "arrays of several files go into one with numpy.savez"
    )


def test_objects_are_not_unpickled(tmp_path, named):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    named["y_train"] = np.array([Trap()] * 6, object)
    np.savez(tmp_path / "d.npz", **named)
    assert message(tmp_path / "d.npz") == (
        "array y_train in d.npz holds Python objects, which cnnkit never unpickles\n"
        "  --> DIR/d.npz\n"
        "   = expected: numbers\n"
        "   = got: dtype object\n"
        "   = help: save it as a plain array: words with .astype(str), numbers with "
        ".astype(int), images of one size with numpy.stack"
    )
    assert not (tmp_path / "sprung").exists()


def test_error_names_the_array(tmp_path, named):
    named["x_test"] = named["x_test"].astype(float)
    named["x_test"][1, 2, 3] = np.nan
    np.savez(tmp_path / "d.npz", **named)
    assert message(tmp_path / "d.npz") == (
        "the images hold NaN or infinity\n  --> DIR/d.npz (x_test)\n   = got: 1 such values, "
        "the first in image 1"
    )


def test_splits_of_different_dtype(tmp_path, named):
    named["x_test"] = named["x_test"].astype(np.float32)
    np.savez(tmp_path / "d.npz", **named)
    assert message(tmp_path / "d.npz") == (
        "training and test images differ in dtype\n"
        "  --> DIR/d.npz (x_test)\n"
        "   = expected: uint8, as in DIR/d.npz (x_train)\n"
        "   = got: float32"
    )


def test_not_an_archive(tmp_path):
    path = tmp_path / "d.npz"
    save = (
        'its arrays with numpy.savez("data.npz", x_train=..., y_train=..., x_test=..., y_test=...)'
    )
    for data, help in (
        (b"", "get the file anew from where it came"),
        (b"<html>", "get the file anew from where it came"),
        (npy(np.arange(3)), f"this is one array (npy): load it, and save {save}"),
        (b"MATLAB 5.0 MAT-file", f"this is a MATLAB file: load it, and save {save}"),
    ):
        path.write_bytes(data)
        assert message(path) == (
            "d.npz is not an npz file, or is damaged\n"
            "  --> DIR/d.npz\n"
            "   = expected: what numpy.savez writes, with an array x_train\n"
            "   = got: BadZipFile: File is not a zip file\n"
            f"   = help: {help}"
        )


def test_flipped_bit_breaks_the_checksum(tmp_path, named):
    path = tmp_path / "d.npz"
    np.savez(path, **named)
    data = bytearray(path.read_bytes())
    data[data.index(named["x_train"].tobytes()) + 60] ^= 1
    path.write_bytes(data)
    assert message(path) == (
        "d.npz is not an npz file, or is damaged\n"
        "  --> DIR/d.npz\n"
        "   = expected: what numpy.savez writes, with an array x_train\n"
        "   = got: BadZipFile: Bad CRC-32 for file 'x_train.npy'\n"
        "   = help: get the file anew from where it came"
    )


def test_header_that_disagrees_with_the_archive(tmp_path, peak):
    for shape, size in (("(9000000000, 28, 28)", 7056000000000), ("(6, 5, 5)", 150)):
        whole = npy(np.zeros((6, 5, 4), np.uint8)).replace(b"(6, 5, 4)", shape.encode())
        header = whole[:-120][:128].rstrip(b" \n")[:127].ljust(127) + b"\n"
        path = archive(tmp_path / "d.npz", {"x_train.npy": header + bytes(120)})
        assert peak(lambda path=path: message(path)) == (
            "array x_train in d.npz does not have the size it declares\n"
            "  --> DIR/d.npz\n"
            f"   = expected: {size} bytes for shape {shape} of uint8\n"
            "   = got: 120 bytes\n"
            "   = help: get the file anew from where it came"
        )


def test_stream_shorter_than_the_archive_says(tmp_path, named):
    whole = npy(named["x_train"])
    path = archive(tmp_path / "d.npz", {"x_train.npy": whole[:-20]}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    size = data.index(b"PK\x01\x02") + 24  # of the member, in the archive's table of contents
    data[size : size + 4] = len(whole).to_bytes(4, "little")
    path.write_bytes(data)
    assert message(path) == (
        "array x_train in d.npz does not have the size it declares\n"
        "  --> DIR/d.npz\n"
        "   = expected: 120 bytes\n"
        "   = got: 100 bytes\n"
        "   = help: get the file anew from where it came"
    )


@pytest.mark.reliability
def test_zip_bomb_stays_packed(tmp_path, peak):
    path = archive(
        tmp_path / "d.npz",
        {"x_train.npy": npy(np.zeros((100_000, 32, 32), np.uint8))},
        zipfile.ZIP_DEFLATED,
    )
    size = path.stat().st_size
    assert size < 200_000
    assert peak(lambda: message(path)) == (
        "d.npz declares more than it can hold\n"
        "  --> DIR/d.npz\n"
        f"   = expected: at most {500 * size} bytes in a file of {size} bytes\n"
        "   = got: 102400128 bytes for array x_train\n"
        "   = help: get the file anew from where it came"
    )


def test_a_huge_table_of_contents_is_not_read(tmp_path):
    """60 000 arrays took ten seconds."""
    members = {f"{number}.npy": b"" for number in range(10_000)}
    text = message(archive(tmp_path / "d.npz", members))
    assert text.startswith("d.npz is not an npz file, or is damaged\n  --> DIR/d.npz\n")
    assert "   = got: ValueError: a table of contents of " in text
    few = {f"{number}.npy": b"" for number in range(100)}
    assert "   = got: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 90 more\n" in message(
        archive(tmp_path / "d.npz", few)
    )


def test_unusual_packing_is_refused(tmp_path, named):
    path = archive(tmp_path / "d.npz", {"x_train.npy": npy(named["x_train"])}, zipfile.ZIP_LZMA)
    assert message(path) == (
        "d.npz is packed in a way that numpy.savez does not use\n  --> DIR/d.npz"
    )
