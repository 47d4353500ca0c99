"""`cnnkit look`: counts and values against the arrays themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from cnnkit.base import Data, DataPaths, Split, Transform
from cnnkit.datasets import Digits
from cnnkit.report.looking import duplicates, look_page, samples, survey, transformed
from cnnkit.specfile.load import load_spec

SPEC = Path(__file__).with_name("small.toml")


class Noise(Transform):
    """Adds noise, in training only."""

    type: Literal["noise"] = "noise"
    random = True

    def apply(self, x, rng, scratch):
        return (x + rng.normal(0, 40, x.shape)).clip(0, 255).astype(np.float32)


@pytest.fixture
def arrays(tmp_path):
    """A dataset of 30 images to train on and 12 to test with, and its spec."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (42, 1, 6, 6), np.uint8)
    y = np.arange(42) % 3
    x[5], x[9] = x[2], x[0]  # of one class, 5 % 3 == 2 % 3; and of the same
    x[7] = x[3]  # 7 % 3 == 1, 3 % 3 == 0: another label
    x[40] = x[20]  # a test image that is a training image
    np.savez("data.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    text = SPEC.read_text().replace('"digits"', '"npz"\npath = "data.npz"\nvalidation = 0.0')
    (tmp_path / "own.toml").write_text(text.replace("units = 10", "units = 3"))
    return x, y


def test_json(arrays, call):
    x, _ = arrays
    code, out, err = call("look", "own.toml", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["classes"] == [{"class": str(k), "train": 10, "test": 4} for k in range(3)]
    train = found["values"]["train"]
    assert (train["lowest"], train["highest"]) == (x[:30].min(), x[:30].max())
    assert train["mean"] == pytest.approx(x[:30].mean())
    assert train["std"] == pytest.approx(x[:30].std())
    assert (train["duplicates"], train["with another label"]) == (3, 1)
    assert found["values"]["transformed"]["mean"] == pytest.approx((x[:30] / 255 - 0.5).mean())
    assert found["warnings"] == [
        "1 test image is a training image too, such as test image 10, which is training image 20",
        "1 train image has another label than the same image before",
    ]
    assert err == "".join(f"warning: {line}\n" for line in found["warnings"])


def test_tables(call):
    code, out, err = call("look", SPEC)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["class", "train", "validation", "test"]
    assert [line.split()[0] for line in lines[2:12]] == list("0123456789")
    assert lines[13].split()[0] == "all"
    assert sum(int(n.replace(",", "")) for n in lines[13].split()[1:]) == 1797
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in out


def test_what_is_wrong_in_every_part_is_said_once(tmp_path, call):
    data = Digits().load(DataPaths(None, lambda line: None))
    parts = {"train": data.train, "test": data.test}
    arrays = {f"x_{name}": split.images * np.float32(100) for name, split in parts.items()}
    np.savez("big.npz", **arrays, **{f"y_{name}": split.labels for name, split in parts.items()})
    text = SPEC.read_text().replace(
        '"digits"', '"npz"\npath = "big.npz"\nvalidation = 0.2\ntransforms = ["scale"]'
    )
    (tmp_path / "big.toml").write_text(text)
    code, _, err = call("look", "big.toml")
    assert code == 0
    assert err.count("values lie within 0..25500, but scale maps from 0..255") == 1
    assert "warning: train images of npz" in err


def test_values_of_another_range_are_a_warning(arrays, call):
    """A run would refuse them: to look at them is what this is for."""
    with np.load("data.npz") as data:
        whole = dict(data)
    small = {k: (v / 255).astype(np.float32) if k.startswith("x") else v for k, v in whole.items()}
    np.savez("data.npz", **small)
    code, _, err = call("look", "own.toml")
    assert code == 0
    assert "warning: train images of npz: values lie within 0..1, but scale maps from" in err


def test_set(call):
    code, out, _ = call("look", SPEC, "--set", "data.only=[3, 8]", "--json",
                        "--set", "model.layers.3.units=2")  # fmt: skip
    assert code == 0
    assert [one["class"] for one in json.loads(out)["classes"]] == ["3", "8"]


def test_a_page(call, look, tmp_path):
    assert call("look", SPEC, "--html", "page.html")[1].endswith("\n\npage.html\n")
    text = Path("page.html").read_text(encoding="utf-8")
    assert "digits: 1,797 images of 10 classes" in text
    assert f"cnnkit look {SPEC} --html page.html" in text
    assert "<script" not in text
    for width, dark in [(400, True), (900, False), (1600, True)]:
        assert look(tmp_path / "page.html", width, dark)["images"] == 120


def test_augmented_images(look, tmp_path):
    """Three draws of two images of each class, none like another."""
    dataset = Digits(transforms=[Noise(), "scale"])
    spec = load_spec(SPEC).model_copy(update={"data": dataset})
    images = np.full((12, 1, 4, 4), 128, np.uint8)
    images[::2, :, 0] = 200
    split = Split(images, np.arange(12) % 2)
    found = survey(Data("mine", split, split, ("a", "b")), dataset, spec)
    assert found.augments
    draws = [transformed(images[:1], dataset, spec, draw) for draw in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert np.allclose(transformed(images, dataset, spec), images / 255 - 0.5)
    (tmp_path / "page.html").write_text(look_page(found, spec, "cnnkit look"))
    assert (tmp_path / "page.html").read_text().count("as training sees them") == 2
    look(tmp_path / "page.html")


def test_samples_are_of_their_class():
    data, dataset = Digits().load(DataPaths()), Digits()
    found = survey(data, dataset, load_spec(SPEC))
    for k, (name, images) in enumerate(samples(found, 4)):
        own = data.train.images[data.train.labels == k]
        assert (name, len(images)) == (str(k), 4)
        assert all((own == image).all(axis=(1, 2, 3)).any() for image in images)


def test_duplicates_of_nothing():
    empty = Split(np.empty((0, 1, 2, 2), np.uint8), np.empty(0, np.int64))
    assert duplicates(empty) == {"duplicates": 0, "with another label": 0}


def test_a_terminal_with_colours_sees_images(on_terminal):
    """Two pixels a character: the colours of the first row are those of the first two rows."""
    colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    code, seen, _ = on_terminal("look", str(SPEC), stream="stdout", **colours)
    assert code == 0
    lines = [line for line in seen.splitlines() if "▀" in line]
    assert len(lines) == 4  # 8 rows of pixels; all classes side by side
    cells = re.findall(r"38;2;(\d+);\d+;\d+;48;2;(\d+);\d+;\d+m▀", lines[0])
    assert len(cells) == 80
