"""The dataset idx, and every way its files can be wrong."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from cnnkit.base import DataPaths, DatasetInfo
from cnnkit.datasets import Idx, idx
from cnnkit.errors import DataError, DataUnavailable, OptionError


def message(tmp_path: Path, four: dict[str, str], name: str, data: bytes) -> str:
    """Replace one of the files and return the error's text, the folder written as DIR."""
    (tmp_path / four[name]).write_bytes(data)
    with pytest.raises(DataError) as caught:
        Idx(**four).load(DataPaths(spec_dir=tmp_path))
    assert type(caught.value) is DataError  # there and damaged: nothing a fallback may hide
    return str(caught.value).replace(str(tmp_path), "DIR")


def test_loads_what_was_written(tmp_path, four, arrays):
    data = Idx(**four).load(DataPaths(spec_dir=tmp_path))
    assert data.name == "idx"
    assert data.classes == ("0", "1")
    for split, half in ((data.train, "train"), (data.test, "test")):
        assert split.images.dtype == np.uint8
        assert split.images.flags.c_contiguous
        assert split.labels.dtype == np.int64
        np.testing.assert_array_equal(split.images, arrays[f"{half}_images"][:, None])
        np.testing.assert_array_equal(split.labels, arrays[f"{half}_labels"])


def test_plain_files_and_absolute_paths(tmp_path, arrays, to_idx):
    options = {}
    for name, array in arrays.items():
        path = tmp_path / name
        path.write_bytes(to_idx(array))
        options[name] = str(path)
    data = Idx(**options).load(DataPaths(spec_dir=Path("/nowhere")))
    np.testing.assert_array_equal(data.train.images[:, 0], arrays["train_images"])


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_other_number_types(tmp_path, four, arrays, to_idx, dtype):
    for name, array in arrays.items():
        kind = "int32" if "labels" in name else dtype
        (tmp_path / four[name]).write_bytes(to_idx(array.astype(kind)))
    data = Idx(**four).load(DataPaths(spec_dir=tmp_path))
    assert data.train.images.dtype == (np.float32 if "float" in dtype else np.uint8)
    assert data.train.images.dtype.isnative
    np.testing.assert_array_equal(data.train.images[:, 0], arrays["train_images"])


def test_colour_and_named_classes(tmp_path, four, arrays, to_idx):
    rgb = np.stack([arrays["train_images"]] * 3, axis=-1)
    rgb[..., 1] //= 2
    (tmp_path / four["train_images"]).write_bytes(to_idx(rgb))
    (tmp_path / four["test_images"]).write_bytes(to_idx(rgb[:4]))
    dataset = Idx(**four, classes=["cat", "dog", "cow"])  # no cow is fine: the names say so
    data = dataset.load(DataPaths(spec_dir=tmp_path))
    assert data.classes == ("cat", "dog", "cow")
    np.testing.assert_array_equal(data.train.images, rgb.transpose(0, 3, 1, 2))
    assert dataset.info(DataPaths(spec_dir=tmp_path)) == DatasetInfo((3, 5, 4), 3)


def test_signature(tmp_path, four):
    assert Idx(**four).info(DataPaths(spec_dir=tmp_path)) == DatasetInfo((1, 5, 4), 2)
    (tmp_path / four["train_labels"]).unlink()
    assert Idx(**four).info(DataPaths(spec_dir=tmp_path)) is None


def test_info_reads_headers_only(tmp_path, four, arrays, to_idx, monkeypatch):
    whole = to_idx(arrays["train_images"])
    (tmp_path / four["train_images"]).write_bytes(whole)
    monkeypatch.delattr(idx, "read_up_to")  # which all that stands behind a header is read with
    named = Idx(**four, classes=["a", "b"])
    (tmp_path / four["train_labels"]).write_bytes(b"not read")
    assert named.info(DataPaths(spec_dir=tmp_path)) == DatasetInfo((1, 5, 4), 2)


def test_info_of_a_file_that_declares_too_much(tmp_path, four, arrays, to_idx):
    """Its estimate of memory would be the spec's error, and the file is to blame."""
    whole = to_idx(arrays["train_images"])
    (tmp_path / four["train_images"]).write_bytes(whole[:8] + b"\xff" * 8 + whole[16:])
    with pytest.raises(DataError, match=r"train_images\.gz declares more than it can hold"):
        Idx(**four).info(DataPaths(spec_dir=tmp_path))


def test_missing_file(tmp_path, four):
    (tmp_path / four["test_labels"]).unlink()
    with pytest.raises(DataUnavailable) as caught:
        Idx(**four).load(DataPaths(spec_dir=tmp_path))
    assert str(caught.value) == (
        f"there is no file test_labels.gz\n  --> {tmp_path}/test_labels.gz"
    )


def test_path_with_nul_is_refused_by_the_options(four):
    with pytest.raises(OptionError, match="train_images must be a path without control characters"):
        Idx(**{**four, "train_images": "a\0b"})


def test_pipe_folder_and_loop(tmp_path, four):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, text in [
        ("pipe", "pipe is not a file\n  --> DIR/pipe\n   = expected: a regular file"),
        (".", "DIRNAME is not a file\n  --> DIR\n   = expected: a regular file"),
        ("loop", "cannot read loop: Too many levels of symbolic links\n  --> DIR/loop"),
        ("x" * 300, f"cannot read {'x' * 300}: File name too long\n  --> DIR/{'x' * 300}"),
        (
            "train_images.gz/x",
            "cannot read x: Not a directory\n  --> DIR/train_images.gz/x",
        ),
    ]:
        with pytest.raises(DataError) as caught:
            Idx(**{**four, "train_images": name}).load(DataPaths(spec_dir=tmp_path))
        got = str(caught.value).replace(str(tmp_path), "DIR")
        assert got == text.replace("DIRNAME", tmp_path.name)


def test_swapped(tmp_path, four):
    swapped = {**four, "train_images": four["train_labels"], "train_labels": four["train_images"]}
    with pytest.raises(DataError) as caught:
        Idx(**swapped).load(DataPaths(spec_dir=tmp_path))
    assert str(caught.value) == (
        "train_labels.gz holds labels, not images\n"
        f"  --> {tmp_path}/train_labels.gz\n"
        "   = expected: 3 or 4 axes (magic 00 00 08 03)\n"
        "   = got: magic 00 00 08 01\n"
        "   = help: images and labels seem to be swapped; exchange the two files"
    )


def test_images_where_labels_belong(tmp_path, four, arrays, to_idx):
    assert message(tmp_path, four, "test_labels", to_idx(arrays["test_images"])) == (
        "test_labels.gz holds images, not labels\n"
        "  --> DIR/test_labels.gz\n"
        "   = expected: 1 axis (magic 00 00 08 01)\n"
        "   = got: magic 00 00 08 03\n"
        "   = help: images and labels seem to be swapped; exchange the two files"
    )


def test_neither_images_nor_labels(tmp_path, four):
    assert message(tmp_path, four, "train_images", b"\0\0\x08\x02" + bytes(8)) == (
        "train_images.gz does not hold images\n"
        "  --> DIR/train_images.gz\n"
        "   = expected: 3 or 4 axes (magic 00 00 08 03)\n"
        "   = got: magic 00 00 08 02\n"
        "   = help: get the file anew from where it came"
    )


def test_truncated_gzip(tmp_path, four):
    data = (tmp_path / four["train_images"]).read_bytes()
    for size in (20, 60, len(data) - 1):
        assert message(tmp_path, four, "train_images", data[:size]) == (
            "train_images.gz is cut short: its gzip stream has no end\n"
            "  --> DIR/train_images.gz\n"
            f"   = got: {size} bytes\n"
            "   = help: get the file anew from where it came"
        )


def test_truncated_plain(tmp_path, four, arrays, to_idx):
    whole = to_idx(arrays["train_images"])
    assert message(tmp_path, four, "train_images", whole[:-1]) == (
        "train_images.gz is cut short\n"
        "  --> DIR/train_images.gz\n"
        "   = expected: 120 bytes, 6 x 5 x 4 values\n"
        "   = got: 119 bytes\n"
        "   = help: get the file anew from where it came"
    )
    assert message(tmp_path, four, "train_images", whole[:10]) == (
        "train_images.gz is cut short inside its header\n"
        "  --> DIR/train_images.gz\n"
        "   = expected: 16 bytes of header\n"
        "   = got: 10 bytes\n"
        "   = help: get the file anew from where it came"
    )
    assert message(tmp_path, four, "train_images", whole[:3]) == (
        "train_images.gz is cut short\n"
        "  --> DIR/train_images.gz\n"
        "   = expected: an IDX file\n"
        "   = got: 3 bytes\n"
        "   = help: get the file anew from where it came"
    )


def test_empty_file(tmp_path, four):
    assert message(tmp_path, four, "train_images", b"") == (
        "train_images.gz is empty\n"
        "  --> DIR/train_images.gz\n"
        "   = expected: an IDX file\n"
        "   = got: 0 bytes\n"
        "   = help: get the file anew from where it came"
    )


@pytest.mark.parametrize(
    ("start", "what", "got"),
    [
        (b"<!doctype html><p>404", "a web page, not data", "3c 21 64 6f"),
        (b"PK\x03\x04rest", "not an IDX file", "50 4b 03 04"),
        (b"\0\0\x0a\x03rest", "not an IDX file", "00 00 0a 03"),
    ],
)
def test_something_else(tmp_path, four, start, what, got):
    expected = (
        f"train_images.gz is {what}\n"
        "  --> DIR/train_images.gz\n"
        "   = expected: first bytes 00 00 08 03 (images) or 00 00 08 01 (labels), "
        "gzipped or plain\n"
        f"   = got: first bytes {got}\n"
        "   = help: get the file anew from where it came"
    )
    assert message(tmp_path, four, "train_images", start) == expected
    assert message(tmp_path, four, "train_images", gzip.compress(start)) == expected


def test_trailing_bytes(tmp_path, four, arrays, to_idx):
    longer = to_idx(arrays["train_images"]) + b"\0"
    for data in (longer, gzip.compress(longer)):
        assert message(tmp_path, four, "train_images", data) == (
            "train_images.gz goes on behind its end\n"
            "  --> DIR/train_images.gz\n"
            "   = expected: 120 bytes, 6 x 5 x 4 values\n"
            "   = got: more\n"
            "   = help: get the file anew from where it came"
        )
    behind = gzip.compress(longer[:-1]) + b"junk behind the stream"
    assert message(tmp_path, four, "train_images", behind) == (
        "train_images.gz is damaged: its gzip stream is broken\n"
        "  --> DIR/train_images.gz\n"
        "   = got: Not a gzipped file (b'ju')\n"
        "   = help: get the file anew from where it came"
    )


def test_flipped_bit_breaks_the_checksum(tmp_path, four, arrays, to_idx):
    data = bytearray(gzip.compress(to_idx(arrays["train_images"]), compresslevel=0))
    data[40] ^= 4  # a pixel, stored as it is
    text = message(tmp_path, four, "train_images", bytes(data))
    assert text.startswith(
        "train_images.gz is damaged: its gzip stream is broken\n"
        "  --> DIR/train_images.gz\n"
        "   = got: CRC check failed "
    )


def test_lying_header_allocates_nothing(tmp_path, four, peak):
    header = b"\0\0\x08\x03" + struct.pack(">3I", 10**9, 28, 28)
    text = peak(lambda: message(tmp_path, four, "train_images", header + bytes(1000)))
    assert text == (
        "train_images.gz declares more than it can hold\n"
        "  --> DIR/train_images.gz\n"
        "   = expected: at most 1016 bytes in a file of 1016 bytes\n"
        "   = got: 784000000000 bytes, 1000000000 x 28 x 28 values\n"
        "   = help: get the file anew from where it came"
    )
    packed = gzip.compress(header + bytes(1000), mtime=0)
    text = peak(lambda: message(tmp_path, four, "train_images", packed))
    assert "at most 16777216 bytes in a file of" in text


@pytest.mark.reliability
def test_gzip_bombs_stay_packed(tmp_path, four, peak):
    black = gzip.compress(bytes(100_000_000), mtime=0)
    honest = struct.pack(">4I", 0x803, 100_000_000 // 784, 28, 28)
    modest = struct.pack(">4I", 0x803, 6, 5, 4)
    bombs = {
        "not an IDX file": black,
        "declares more than it can hold": gzip.compress(honest, mtime=0) + black,
        "goes on behind its end": gzip.compress(modest, mtime=0) + black,
    }
    for what, bomb in bombs.items():
        assert len(bomb) < 200_000
        assert what in peak(lambda bomb=bomb: message(tmp_path, four, "train_images", bomb))


def test_label_outside_and_gap(tmp_path, four, to_idx):
    bad = to_idx(np.array([0, 1, 0, 255, 1, 0], np.uint8))
    assert message(tmp_path, four, "train_labels", bad) == (
        "no training label is 2, but some are 255\n"
        "  --> DIR/train_labels.gz\n"
        "   = expected: labels 0, 1, 2, ... without a gap\n"
        "   = got: 3 classes with labels up to 255\n"
        "   = help: renumber them, numpy.searchsorted(numpy.unique(training_labels), labels), of "
        'each split, or name every class: classes = ["cat", "dog"] in [data]'
    )


def test_test_label_outside(tmp_path, four, to_idx):
    assert message(tmp_path, four, "test_labels", to_idx(np.array([1, 0, 7, 1], np.uint8))) == (
        "a label lies outside the classes\n"
        "  --> DIR/test_labels.gz\n"
        "   = expected: labels 0..1, for 2 classes\n"
        "   = got: label 7 at index 2"
    )


def test_counts_differ(tmp_path, four, to_idx):
    assert message(tmp_path, four, "train_labels", to_idx(np.array([0, 1], np.uint8))) == (
        "there must be one label per image\n"
        "  --> DIR/train_labels.gz\n"
        "   = expected: 6 labels, for the images in DIR/train_images.gz\n"
        "   = got: 2 labels"
    )


def test_splits_of_different_shape(tmp_path, four, to_idx):
    images = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(4, 3, 3)
    assert message(tmp_path, four, "test_images", to_idx(images)) == (
        "training and test images differ in shape\n"
        "  --> DIR/test_images.gz\n"
        "   = expected: (1, 5, 4), as in DIR/train_images.gz\n"
        "   = got: (1, 3, 3)"
    )


def test_no_images(tmp_path, four, to_idx):
    assert message(tmp_path, four, "test_images", to_idx(np.empty((0, 5, 4), np.uint8))) == (
        "there are no images\n"
        "  --> DIR/test_images.gz\n"
        "   = expected: at least one\n"
        "   = got: shape (0, 5, 4)"
    )


def test_a_share_for_test_and_validation_files(tmp_path, four):
    images, labels = four["train_images"], four["train_labels"]
    others = {"validation_images": four["test_images"], "validation_labels": four["test_labels"]}
    dataset = Idx(train_images=images, train_labels=labels, test=0.4, **others)
    data = dataset.load(DataPaths(spec_dir=tmp_path))
    assert (len(data.train), len(data.test), len(data.validation)) == (4, 2, 4)
    assert sorted(data.test.labels) == [0, 1]
    both = np.concatenate([data.train.images, data.test.images]).tolist()
    whole = Idx(**four).load(DataPaths(spec_dir=tmp_path))
    assert sorted(both) == sorted(whole.train.images.tolist())
    np.testing.assert_array_equal(data.validation.images, whole.test.images)


def test_files_that_go_together(four):
    for part in ("test", "validation"):
        lone = {name: four[name] for name in ("train_images", "train_labels")}
        with pytest.raises(OptionError, match=f"{part}_images and {part}_labels go together"):
            Idx(**lone, **{f"{part}_images": "a"})
