"""`cnnkit init`: a spec that checks and trains as it is, and never one in place of another."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from shutil import rmtree

import numpy as np
import PIL.Image
import pytest
import tomli

from cnnkit.base import DataPaths
from cnnkit.datasets import Digits, cnnkit_datasets


def test_a_spec_that_trains(call, tmp_path):
    outcome = call("init", "first")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == (
        "wrote first.toml: train it with `cnnkit run first.toml`\n"
        "wrote cnnkit.schema.json: editors with Tombi or Taplo complete and check specs by it\n"
    )
    text = (tmp_path / "first.toml").read_text()
    assert text.startswith("#:schema ./cnnkit.schema.json\n")
    assert call("check", "first.toml").out == "first.toml: ok, 6 layers, (1,8,8) -> (10)\n"
    ran = json.loads(call("run", "first.toml", "--quiet", "--json", "--out", "run").out)
    assert ran["test"]["accuracy"] > 0.9


@pytest.mark.parametrize("data", ["mnist", "fashion_mnist"])
def test_other_data(call, data):
    assert call("init", "other", "--data", data).code == 0
    assert call("check", "other.toml").out == "other.toml: ok, 6 layers, (1,28,28) -> (10)\n"


def test_data_that_needs_options(call, tmp_path):
    outcome = call("init", "own", "--data", "npz")
    assert (outcome.code, outcome.err.splitlines()[0]) == (
        0, "wrote own.toml: fill in path of [data], then train it with `cnnkit run own.toml`"
    )  # fmt: skip
    assert call("init", "own", "--data", "idx").code == 2
    (tmp_path / "own.toml").unlink()
    assert call("init", "own", "--data", "idx").code == 0
    assert (
        '\ntrain_images = "train_images"   # yours goes here\n'
        in (tmp_path / "own.toml").read_text()
    )
    assert call("check", "own.toml").code == 0


@pytest.fixture
def digits(tmp_path):
    """Images (N, 8, 8) of digits and their labels."""
    data = Digits().load(DataPaths())
    return data.train.images[:300, 0], data.train.labels[:300]


def spec_for(call, path) -> dict[str, object]:
    """Write a spec for the data at a path, train by it, and return its table of data."""
    outcome = call("init", "own", "--data", str(path))
    assert outcome.code == 0, outcome.err
    assert call("check", "own.toml").code == 0
    ran = call("run", "own.toml", "--quiet", "--json", "--set", "train.epochs=1", "--out", "run")
    assert ran.code == 0, ran.err
    data = tomli.loads(Path("own.toml").read_text())["data"]
    for made in ("own.toml", "cnnkit.schema.json"):
        Path(made).unlink()
    rmtree("run")
    return {k: v for k, v in data.items() if k not in ("path", "validation")}


ARRAYS = {"train_images": "x_train", "train_labels": "y_train"}
SCALE = {"type": "scale"}


@pytest.mark.parametrize(
    ("arrays", "wanted"),
    [
        (lambda x, y: {"x_train": x, "y_train": y, "x_test": x[:50], "y_test": y[:50]},
         ARRAYS | {"test_images": "x_test", "test_labels": "y_test"}),
        (lambda x, y: {"images": x / 255, "target": y + 1},
         {"train_images": "images", "train_labels": "target", "test": 0.2,
          "transforms": [SCALE | {"range": [0, 1]}]}),
        (lambda x, y: {"x_train": x.astype(np.int64) * 257, "y_train": y[:, None]},
         ARRAYS | {"test": 0.2, "transforms": [SCALE | {"range": [0, 65535]}]}),
        (lambda x, y: {"X": np.stack([x] * 3, 2).transpose(1, 3, 2, 0), "y": y.astype(str)},
         {"train_images": "X", "train_labels": "y", "test": 0.2, "layout": "hwcn"}),
        (lambda x, y: {"train_x": np.stack([x] * 4, 3), "train_y": y, "val_x": np.stack([x] * 4, 3),
                       "val_y": y},
         {"train_images": "train_x", "train_labels": "train_y", "validation_images": "val_x",
          "validation_labels": "val_y", "test": 0.2, "layout": "hwc"}),
        (lambda x, y: {"x_train": x * np.float32(0.0001), "y_train": y},
         ARRAYS | {"test": 0.2, "transforms": [SCALE | {"range": [0, pytest.approx(0.03825)]}]}),
    ],
)  # fmt: skip
def test_a_spec_for_arrays(call, digits, arrays, wanted):
    np.savez("data.npz", **arrays(*digits))
    assert spec_for(call, "data.npz") == {"type": "npz", **wanted}


def test_a_spec_for_tables(call, digits, tmp_path):
    images, labels = digits
    rows = np.column_stack([labels, images.reshape(-1, 64)])
    np.savetxt("digits_train.csv", rows, fmt="%d", delimiter=",")
    assert spec_for(call, "digits_train.csv") == {"type": "csv"}
    np.savetxt("digits_test.csv", rows[:50], fmt="%d", delimiter=",")
    assert spec_for(call, "digits_train.csv") == {"type": "csv", "test_path": "digits_test.csv"}
    (tmp_path / "in").mkdir()
    np.savetxt("in/last.csv", np.roll(rows, -1, 1), fmt="%d", delimiter=";")
    assert spec_for(call, "in") == {"type": "csv"}
    colour = np.column_stack([labels, np.repeat(images.reshape(-1, 64), 3, 1)])
    np.savetxt("in/last.csv", colour, fmt="%d", delimiter=",")
    assert spec_for(call, "in") == {"type": "csv", "layout": "hwc"}


def test_a_spec_for_folders(call, digits, tmp_path):
    for index, (image, label) in enumerate(zip(*digits, strict=True)):
        home = tmp_path / "shots" / str(label)
        home.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(image).save(home / f"{index}.png")
    assert spec_for(call, "shots") == {"type": "image_folder", "mode": "grayscale"}
    PIL.Image.new("RGB", (9, 8)).save(tmp_path / "shots" / "0" / "odd.jfif", format="JPEG")
    assert spec_for(call, "shots") == {"type": "image_folder", "size": [8, 8]}
    for name in "ab":
        for index in range(5):
            picture = PIL.Image.new("RGB", (200, 100), (index * 9, 0, 50))
            (tmp_path / "large" / name).mkdir(parents=True, exist_ok=True)
            picture.save(tmp_path / "large" / name / f"{index}.png")
    assert spec_for(call, "large") == {"type": "image_folder", "size": [64, 64]}
    (tmp_path / "flat").mkdir()
    names = [f"{index},{label}" for index, label in enumerate(digits[1][:40])]
    (tmp_path / "flat" / "labels.csv").write_text("\n".join(["file,class", *names]))
    for index, image in enumerate(digits[0][:40]):
        PIL.Image.fromarray(image).save(tmp_path / "flat" / f"{index}.png")
    assert spec_for(call, "flat") == {
        "type": "image_folder", "labels": "flat/labels.csv", "mode": "grayscale"
    }  # fmt: skip


def test_a_spec_for_idx_files(call, digits, tmp_path):
    (tmp_path / "raw").mkdir()
    for part in ("train", "t10k"):
        for role, rank, array in (("images", 3, digits[0]), ("labels", 1, digits[1])):
            header = struct.pack(f">HBB{rank}I", 0, 8, rank, *array.shape)
            (tmp_path / "raw" / f"{part}-{role}-idx{rank}-ubyte").write_bytes(
                header + array.astype(np.uint8).tobytes()
            )
    assert spec_for(call, "raw") == {"type": "idx"} | {
        f"{split}_{role}": f"raw/{part}-{role}-idx{rank}-ubyte"
        for split, part in (("train", "train"), ("test", "t10k"))
        for role, rank in (("images", 3), ("labels", 1))
    }


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("./nix", "there is nothing at nix; --data takes a type of dataset, or a path\n"),
        ("notes.txt",
         "no dataset reads notes.txt\n  --> notes.txt\n   = expected: a folder of pictures or of "
         "IDX files, an npz file or a table (csv)\n"),
        ("empty",
         "no dataset reads what is in empty\n  --> empty\n   = expected: a folder of pictures or "
         "of IDX files, an npz file or a table (csv)\n   = got: nothing\n"),
        ("odd.npz",
         "the arrays in odd.npz are not one of images and one of labels for each split\n"
         "  --> odd.npz\n   = expected: such as x_train (N, H, W) and y_train (N,)\n"
         "   = got: a (3, 4, 4), b (3, 4, 4)\n"),
    ],
)  # fmt: skip
def test_paths_that_no_dataset_reads(call, tmp_path, path, text):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    np.savez("odd.npz", a=np.zeros((3, 4, 4)), b=np.zeros((3, 4, 4)))
    outcome = call("init", "own", "--data", path)
    assert (outcome.code, outcome.err) == (2, f"error: {text}")
    assert not (tmp_path / "own.toml").exists()


def test_nothing_is_overwritten(call, tmp_path):
    (tmp_path / "mine.toml").write_text("mine")
    (tmp_path / "cnnkit.schema.json").write_text("{}")
    outcome = call("init", "mine.toml")
    assert (outcome.code, outcome.err) == (
        2,
        "error: mine.toml exists already and is left as it is; choose another name, or remove it "
        "first\n",
    )
    assert (tmp_path / "mine.toml").read_text() == "mine"
    assert call("init", "yours").code == 0
    assert (tmp_path / "cnnkit.schema.json").read_text() == "{}"


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "a" * 65, "two words"])
def test_names_that_would_make_no_spec(call, name, tmp_path):
    outcome = call("init", name)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: {name!r} is no name for a spec; expected letters, digits, dot, dash and "
        "underscore, at most 64, a letter or digit first\n"
    )
    assert not list(tmp_path.rglob("*.toml"))


def test_an_unknown_dataset(call, tmp_path):
    outcome = call("init", "x", "--data", "digit")
    assert outcome.code == 2
    names = ", ".join(sorted(dataset.type_name() for dataset in cnnkit_datasets()))
    assert outcome.err == (
        "error: there is no dataset type 'digit', and no such file or folder\n"
        "   = expected: a type of dataset, or the path of a folder, an npz file or a table\n"
        f'   = got: digit\n   = help: did you mean "digits"?; installed datasets: {names}\n'
    )
    assert not list(tmp_path.iterdir())
