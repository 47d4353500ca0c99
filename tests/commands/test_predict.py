"""`cnnkit predict`: pictures and arrays on their way through a trained network."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from cnnkit import Model
from cnnkit.base import DataPaths
from cnnkit.datasets import Digits
from cnnkit.layers import Conv, Dense, Relu, Sigmoid


@pytest.fixture(scope="module")
def digits():
    """Eight test images, (8, 1, 8, 8) uint8."""
    return Digits().load(DataPaths()).test.images[:8]


@pytest.fixture
def expected(trained, digits):
    """What the model says of them, asked from Python."""
    model = Model.load(trained / "checkpoints" / "last.safetensors")
    y = model.predict(digits)
    return [(str(c), int(c), float(p)) for c, p in zip(y.argmax(1), y.max(1), strict=True)]


def listed(outcome) -> list[tuple[str, int, float]]:
    """Return (class, index of the class, probability) from JSON."""
    assert outcome.code == 0, outcome.err
    return [(p["class"], p["class_index"], p["probability"]) for p in json.loads(outcome.out)]


FORMS = {
    "images": lambda x: x,
    "without channels": lambda x: x[:, 0],
    "channels last": lambda x: x.transpose(0, 2, 3, 1),
    "floats": lambda x: x.astype(np.float64),
    "wide integers": lambda x: x.astype(np.int64),
    "Fortran's order": np.asfortranarray,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays(form, suffix, trained, digits, expected, call):
    file = f"digits{suffix}"
    (np.save if suffix == ".npy" else np.savez)(file, FORMS[form](digits))
    outcome = call("predict", str(trained), file, "--json")
    assert listed(outcome) == expected
    assert outcome.err == ""
    assert json.loads(outcome.out)[3]["file"] == file
    assert [p["index"] for p in json.loads(outcome.out)] == list(range(8))


@pytest.mark.parametrize("single", [lambda x: x[0], lambda x: x[0, 0]])
def test_a_single_image(single, trained, digits, expected, call):
    np.save("one.npy", single(digits))
    outcome = call("predict", str(trained), "one.npy", "--json")
    assert listed(outcome)[0][:2] == expected[0][:2]
    assert len(json.loads(outcome.out)) == 1


def test_pictures_and_the_table(trained, digits, expected, call):
    for index in range(2):
        PIL.Image.fromarray(digits[index, 0]).save(f"{index}.png")
    np.save("rest.npy", digits[2:4])
    outcome = call("predict", str(trained), "0.png", "1.png", "rest.npy")
    assert outcome.err == ""
    rows = [line.split() for line in outcome.out.splitlines()]
    assert rows[0] == ["image", "class", "probability"]
    names = ["0.png", "1.png", "rest.npy[0]", "rest.npy[1]"]
    assert rows[2:] == [
        [name, *pair] for name, pair in zip(
            names, ((c, f"{p:.4f}") for c, _, p in expected), strict=False
        )
    ]  # fmt: skip


def test_pictures_are_brought_to_the_model_with_a_note(trained, digits, expected, call):
    gray = PIL.Image.fromarray(digits[0, 0])
    gray.convert("RGB").save("same.png")
    gray.resize((40, 32), PIL.Image.Resampling.NEAREST).save("large.png")
    red = np.zeros((8, 8, 3), np.uint8)
    red[2:6, 3:5, 0] = 255
    PIL.Image.fromarray(red).save("red.png")
    outcome = call("predict", str(trained), "same.png", "large.png", "red.png", "--json")
    assert listed(outcome)[0] == pytest.approx(expected[0])
    assert outcome.err == (
        "note: 1 picture is resized to 8x8, as the model takes (1,8,8): large.png from 32x40\n"
        "note: 1 picture is turned to grayscale, as the model takes (1,8,8): red.png\n"
    )
    assert call("predict", str(trained), "red.png", "--quiet").err == ""


def test_a_model_in_colour_takes_gray_pictures_with_a_note(digits, call):
    model = Model.build([Dense(units=2), Relu()], (3, 8, 8), classes=["a", "b"])
    model.save("model.safetensors")
    PIL.Image.fromarray(digits[0, 0]).save("gray.png")
    outcome = call("predict", "model.safetensors", "gray.png")
    assert outcome.err == (
        "note: 1 picture is repeated in three channels, as the model takes (3,8,8): gray.png\n"
    )
    assert outcome.out.splitlines()[-1].split()[-1] == "-"  # a relu gives no probabilities


def test_one_output_is_the_probability_of_class_1(digits, call):
    model = Model.build([Sigmoid(units=1)], (1, 8, 8), classes=["even", "odd"])
    model.save("model.safetensors")
    noise = np.random.default_rng(0).standard_normal(digits.shape).astype(np.float32)
    np.save("digits.npy", noise)
    y = model.predict(noise)[:, 0]
    assert 0 < np.count_nonzero(y > 0.5) < 8
    expected = [("odd", 1, float(p)) if p > 0.5 else ("even", 0, float(1 - p)) for p in y]
    assert listed(call("predict", "model.safetensors", "digits.npy", "--json")) == expected


@pytest.mark.parametrize("high", [1.0, 0.3])
def test_floats_that_were_scaled_already_are_refused(high, trained, digits, call):
    np.save("scaled.npy", digits / digits.max() * high)
    outcome = call("predict", str(trained), "scaled.npy")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"error: scaled.npy: values lie within 0..{high:g}, but the model was trained on images of "
        "0..255\n   = expected: values as in training, within 0..255\n"
        "   = help: bring them to that range, as the training images were\n"
    )


def test_a_run_directory_and_its_checkpoint_agree(trained, digits, call):
    np.save("digits.npy", digits)
    file = trained / "checkpoints" / "best.safetensors"
    by_file = call("predict", str(file), "digits.npy", "--json")
    assert listed(by_file) == listed(
        call("predict", str(trained), "digits.npy", "--checkpoint", "best", "--json")
    )


SAVED = {
    "shape.npy": np.zeros((5, 9, 8), np.uint8),
    "flat.npy": np.zeros(64, np.uint8),
    "range.npy": np.full((1, 8, 8), 256),
    "nan.npy": np.full((1, 8, 8), np.nan),
    "text.npy": np.array(["a"]),
}
DETAILS = {
    "shape.npy": """\
shape.npy does not hold images of the model's shape
  --> shape.npy
   = expected: shape (N,1,8,8)
   = got: shape (5,9,8)
   = help: arrays are never resized: bring them to that shape first
""",
    "flat.npy": """\
flat.npy does not hold images of the model's shape
  --> flat.npy
   = expected: shape (N,1,8,8)
   = got: shape (64)
   = help: arrays are never resized: bring them to that shape first
""",
    "range.npy": """\
range.npy does not hold images
  --> range.npy
   = expected: whole numbers within 0..255, or floats
   = got: 64 values of dtype int64
""",
    "nan.npy": """\
nan.npy holds NaN or infinity
  --> nan.npy
""",
    "text.npy": """\
text.npy does not hold images
  --> text.npy
   = expected: whole numbers within 0..255, or floats
   = got: 1 values of dtype <U1
""",
}


@pytest.mark.parametrize("name", SAVED)
def test_arrays_that_are_no_images_of_the_model(name, trained, call):
    np.save(name, SAVED[name])
    outcome = call("predict", str(trained), name)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"error: {DETAILS[name]}")


def test_an_npz_file_of_several_arrays(trained, digits, expected, call):
    np.savez("two.npz", a=digits, b=digits)
    outcome = call("predict", str(trained), "two.npz")
    assert (outcome.code, outcome.err) == (
        2,
        "error: two.npz holds several arrays, and none is called images\n"
        "  --> two.npz\n   = got: a, b\n"
        "   = help: save the images alone, or call them images\n",
    )
    np.savez("named.npz", labels=np.zeros(8), images=digits)
    assert listed(call("predict", str(trained), "named.npz", "--json")) == expected


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.png"])
@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_damaged_files(name, content, trained, call):
    Path(name).write_bytes(content)
    outcome = call("predict", str(trained), name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert f"  --> {name}\n" in outcome.err


@pytest.mark.parametrize("header", [b"(", b"", b"{", b"1", b"((((", b"{'descr': 1}", b"\0" * 9])
def test_a_header_that_is_none(header, trained, call):
    """Some of them are no Python, which NumPy reads headers as."""
    Path("x.npy").write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    outcome = call("predict", str(trained), "x.npy")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: x.npy is not an npy file, or is damaged\n  --> x.npy\n")


def test_more_or_less_than_the_header_says(trained, call, digits):
    np.save("x.npy", digits)
    whole = Path("x.npy").read_bytes()
    for data in (whole + b"\0", whole[:-1]):
        Path("x.npy").write_bytes(data)
        outcome = call("predict", str(trained), "x.npy")
        assert outcome.code == 2
        assert outcome.err.startswith("error: x.npy d")  # declares more, or has another size


@pytest.mark.parametrize("name", ["pipe.npy", "pipe.npz", "pipe.png"])
def test_a_pipe_is_not_waited_for(name, trained, call):
    os.mkfifo(name)
    outcome = call("predict", str(trained), name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {name} is not a file\n")


def test_a_network_that_ends_in_maps(digits, call):
    Model.build([Conv(filters=3, kernel=3)], (1, 8, 8)).save("maps.safetensors")
    np.save("x.npy", digits)
    outcome = call("predict", "maps.safetensors", "x.npy")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "error: it gives maps, not a number per class\n  --> the model\n"
        "   = got: shape (3,6,6)\n   = help: call Model.predict from Python\n"
    )


def test_names_do_nothing_to_a_terminal(digits, call):
    names = ["a\x9b31m", "b\x1b[2J\u202e"]
    Model.build([Relu(), Dense(units=2)], (1, 8, 8), classes=names).save("model.safetensors")
    np.save("x\x9b.npy", digits)
    outcome = call("predict", "model.safetensors", "x\x9b.npy")
    assert outcome.code == 0
    assert not set("\x9b\x1b\u202e") & set(outcome.out + outcome.err)
    assert "x\\u009B.npy[0]" in outcome.out
    assert call("predict", "model.safetensors", "y\x9b.npy").err.startswith(
        "error: there is no file y\\u009B.npy"
    )


@pytest.mark.parametrize("name", ["nix.npy", "nix.npz", "nix.png"])
def test_missing_files(name, trained, call):
    outcome = call("predict", str(trained), name)
    assert outcome.code == 2
    assert f"  --> {name}\n" in outcome.err


def test_objects_are_never_unpickled(trained, call):
    np.save("evil.npy", np.array([{}, 1], object), allow_pickle=True)
    outcome = call("predict", str(trained), "evil.npy")
    assert outcome.code == 2
    assert "Python objects" in outcome.err


def test_a_missing_run(call):
    outcome = call("predict", "nix", "a.npy")
    assert (outcome.code, outcome.err) == (
        2,
        "error: there is no run nix; expected a directory made by `cnnkit run`, or a model's "
        "file\n",
    )


def test_folders_and_bad_files_among_good_ones(trained, digits, expected, call):
    for index in range(8):
        path = Path("shots", "ab"[index % 2], f"{index}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(digits[index, 0]).save(path)
    Path("shots", "a", "0.png").write_bytes(b"cut")
    Path("shots", "a", "notes.txt").write_text("x")
    Path("shots", "empty").mkdir()
    np.save("flat.npy", np.zeros(64, np.uint8))
    np.save("unit.npy", digits / 255)
    files = ("shots", "flat.npy", "shots/empty", "unit.npy")
    outcome = call("predict", str(trained), *files, "--json")
    found = json.loads(outcome.out)
    names = [f"shots/{'ab'[i % 2]}/{i}.png" for i in (2, 4, 6, 1, 3, 5, 7)]
    good, bad = found[:7], found[7:]
    assert [one["file"] for one in good] == names
    assert [one["class"] for one in good] == [expected[i][0] for i in (2, 4, 6, 1, 3, 5, 7)]
    assert [one["file"] for one in bad] == ["shots/empty", "shots/a/0.png", "flat.npy", "unit.npy"]
    assert all(one["class"] is None and one["error"] for one in bad)
    assert outcome.code == 2
    assert outcome.err == (
        "note: shots: passed over 1 file not named like a picture: a/notes.txt\n"
        "error: 4 of 11 files cannot be used\n"
        "   = shots/empty: there are no pictures in empty\n"
        "   = shots/a/0.png: is not a picture that can be read, or is damaged "
        f"({bad[1]['error'].split('got: ')[1].splitlines()[0]})\n"
        "   = flat.npy: does not hold images of the model's shape (shape (64))\n"
        "   = unit.npy: values lie within 0..1, but the model was trained on images of 0..255\n"
        "   = help: open it in a picture viewer; mend it, or leave it out\n"
        "   = help: arrays are never resized: bring them to that shape first\n"
        "   = help: bring them to that range, as the training images were\n"
    )


def test_all_probabilities_and_the_top(trained, digits, expected, call):
    np.save("two.npy", digits[:2])
    first, _ = json.loads(call("predict", str(trained), "two.npy", "--json").out)
    assert list(first["probabilities"]) == list("0123456789")
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    ranked = sorted(first["probabilities"].items(), key=lambda pair: -pair[1])
    outcome = call("predict", str(trained), "two.npy", "--top", "3")
    rows = [line.split() for line in outcome.out.splitlines()[2:]]
    assert rows[0] == ["two.npy[0]", ranked[0][0], f"{ranked[0][1]:.4f}"]
    assert rows[1:3] == [[name, f"{share:.4f}"] for name, share in ranked[1:3]]
    assert rows[3][0] == "two.npy[1]"
    assert len(rows) == 6
    assert call("predict", str(trained), "two.npy", "--top", "0").err == (
        "error: --top must be at least 1, got 0\n"
    )


def test_a_table_for_others(trained, digits, expected, call):
    np.save("two.npy", digits[:2])
    outcome = call("predict", str(trained), "two.npy", "--csv", "out.csv")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "wrote out.csv\n")
    head, *rows = (line.split(",") for line in Path("out.csv").read_text().splitlines())
    assert head == ["image", "class", "probability"]
    assert [row[:2] for row in rows] == [[f"two.npy[{i}]", expected[i][0]] for i in range(2)]
    assert float(rows[0][2]) == pytest.approx(expected[0][2])
    again = call("predict", str(trained), "two.npy", "--csv", "out.csv")
    assert (again.code, again.err) == (
        2, "error: out.csv exists already and is left as it is; remove it first\n"
    )  # fmt: skip
    assert call("predict", str(trained), "two.npy", "--csv", "no/out.csv").code == 2


def test_transparent_pictures_are_laid_over_white(trained, digits, call):
    for index in range(2):
        ink = digits[index, 0]
        layered = np.dstack([np.zeros((8, 8, 3), np.uint8), ink])
        PIL.Image.fromarray(layered).save(f"clear{index}.png")
        PIL.Image.fromarray(255 - ink).save(f"opaque{index}.png")
    outcome = call("predict", str(trained), "clear0.png", "clear1.png", "--json")
    same = call("predict", str(trained), "opaque0.png", "opaque1.png", "--json")
    assert listed(outcome) == listed(same)
    assert outcome.err == (
        "warning: 2 pictures: the edges of the images are bright, those of the training images "
        "dark; where light and dark are exchanged, invert the images\n"
        "note: 2 pictures are transparent: laid over white (clear0.png, clear1.png)\n"
    )
