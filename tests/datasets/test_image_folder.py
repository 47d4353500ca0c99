"""The dataset image_folder, on pictures drawn here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cnnkit.base import DataPaths, DatasetInfo
from cnnkit.datasets import ImageFolder
from cnnkit.errors import DataError, DataUnavailable

Image = pytest.importorskip("PIL.Image")


def picture(path: Path, value: int, size: tuple[int, int] = (5, 4), mode: str = "RGB") -> None:
    """Save a picture of (height, width) `size` whose top left pixel is brighter than the rest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, len(mode))
    pixels = np.full(shape, value, np.uint8)
    pixels[0, 0] = value + 100
    Image.fromarray(pixels, mode).save(path)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Ten cats of values 0..9 and five dogs of values 20..24."""
    for index in range(10):
        picture(tmp_path / "pets" / "cat" / f"{index}.png", index)
    for index in range(5):
        picture(tmp_path / "pets" / "dog" / f"{index}.png", 20 + index)
    return tmp_path


def load(folder: Path, **options: object):
    return ImageFolder(path="pets", **options).load(DataPaths(spec_dir=folder))


def message(folder: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        load(folder, **options)
    return str(caught.value).replace(str(folder), "DIR")


def values(split) -> list[int]:
    return split.images[:, 0, -1, -1].tolist()


def test_folders_train_and_test(tmp_path):
    for half, base in (("train", 0), ("test", 50)):
        for index, name in enumerate(("b.png", "a.PNG", "c.bmp")):
            picture(tmp_path / "pets" / half / "dog" / name, base + index)
        picture(tmp_path / "pets" / half / "cat" / "x.png", base + 9)
    data = load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert data.train.images.shape == (4, 3, 5, 4)
    assert values(data.train) == [9, 1, 0, 2]  # cat x, dog a, b, c
    assert values(data.test) == [59, 51, 50, 52]
    assert data.train.labels.tolist() == data.test.labels.tolist() == [0, 1, 1, 1]
    assert data.train.images[0, :, 0, 0].tolist() == [109] * 3


def test_channels_stay_in_order(tmp_path):
    for index, name in enumerate(("cat", "dog")):
        for half in ("train", "test"):
            path = tmp_path / "pets" / half / name / "1.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(np.array([[[9, 8, 7], [index, 5, 4]]], np.uint8)).save(path)
    images = load(tmp_path).train.images
    assert images.shape == (2, 3, 1, 2)
    assert images[0].tolist() == [[[9, 0]], [[8, 5]], [[7, 4]]]


def test_parted_by_class_and_seed(flat):
    data = load(flat)
    assert np.bincount(data.train.labels).tolist() == [8, 4]
    assert np.bincount(data.test.labels).tolist() == [2, 1]
    assert sorted(values(data.train) + values(data.test)) == [*range(10), *range(20, 25)]
    assert values(load(flat).test) == values(data.test)
    others = {tuple(values(load(flat, seed=seed).test)) for seed in range(5)}
    assert len(others) > 1
    more = load(flat, test=0.5)
    assert np.bincount(more.test.labels).tolist() == [5, 3]
    assert set(values(data.test)) <= set(values(more.test))


def test_a_new_picture_moves_at_most_one(flat):
    before = set(values(load(flat, test=0.5).test))
    picture(flat / "pets" / "cat" / "new.png", 99)
    after = set(values(load(flat, test=0.5).test))
    assert len(before - after) <= 1


def test_order_does_not_depend_on_the_disk(flat, monkeypatch):
    want = load(flat)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: reversed(list(listed(path))))
    got = load(flat)
    np.testing.assert_array_equal(got.train.images, want.train.images)
    np.testing.assert_array_equal(got.test.labels, want.test.labels)


def test_size_and_grayscale(flat):
    picture(flat / "pets" / "cat" / "big.png", 7, (30, 20))
    dataset = ImageFolder(path="pets", size=[8, 6], mode="grayscale")
    data = dataset.load(DataPaths(spec_dir=flat))
    assert data.train.images.shape == (13, 1, 8, 6)
    assert dataset.info(DataPaths(spec_dir=flat)) == DatasetInfo((1, 8, 6), 2)


def test_info_from_the_first_picture(flat):
    (flat / "pets" / "dog" / "0.png").write_bytes(b"never read")
    dataset = ImageFolder(path="pets")
    assert dataset.info(DataPaths(spec_dir=flat)) == DatasetInfo((3, 5, 4), 2)
    assert dataset.info(DataPaths(spec_dir=flat / "no")) is None


def test_camera_orientation_is_applied(flat):
    pixels = np.zeros((5, 4), np.uint8)
    pixels[0, 0] = 200
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(flat / "pets" / "cat" / "00.png", exif=exif)
    cats = load(flat, mode="grayscale", seed=1)
    both = np.concatenate([cats.train.images, cats.test.images])
    turned = [image for image in both if image[0, -1, -1] == 200]
    assert len(turned) == 1


def said(folder: Path, **options: object) -> tuple[object, list[str]]:
    """Return the data, and what was said meanwhile."""
    lines: list[str] = []
    paths = DataPaths(spec_dir=folder, say=lines.append)
    return ImageFolder(path="pets", **options).load(paths), lines


def test_what_is_passed_over_is_counted_and_named(flat):
    pets = flat / "pets"
    for name in ("cat/.hidden.png", "cat/Thumbs.db", "dog/notes.txt", "dog/a.heic", "read.me"):
        (pets / name).write_bytes(b"x")
    (pets / ".git").mkdir()
    picture(pets / "__MACOSX" / "cat" / "._1.png", 1)
    for name in ("old/1.png", "old/older/2.png", "new/3.png"):
        picture(pets / "cat" / name, 1)
    picture(pets / "lone.png", 1)
    data, lines = said(flat)
    assert len(data.train) + len(data.test) == 15
    assert lines == [
        "note: pets: passed over 2 hidden files and folders: .git, cat/.hidden.png",
        "note: pets: passed over 2 files and folders of the system: __MACOSX, cat/Thumbs.db",
        "note: pets: passed over 2 files beside the folders of classes: lone.png, read.me",
        "warning: pets: passed over 2 folders below classes, with 3 pictures: cat/new, cat/old",
        "warning: pets: passed over 1 picture in a format that is not read: dog/a.heic",
        "note: pets: passed over 1 file not named like a picture: dog/notes.txt",
    ]


def test_pictures_without_a_suffix_and_links_upwards(flat):
    cats = flat / "pets" / "cat"
    (cats / "1.png").rename(cats / "1")
    Image.open(cats / "1").save(cats / "web", format="webp", lossless=True)
    (cats / "notes").write_bytes(b"x")
    (cats / "sound").write_bytes(b"RIFF\x04\0\0\0WAVE")
    (cats / "up").symlink_to("..")
    (cats / "pipe").touch()
    data, lines = said(flat)
    assert len(data.train) + len(data.test) == 16
    assert lines == [
        "note: pets: passed over 3 files not named like pictures: cat/notes, cat/pipe, cat/sound",
        "warning: pets: passed over 1 folder below a class, with 16 pictures: cat/up",
    ]


def test_one_class_alone(tmp_path):
    picture(tmp_path / "pets" / "cat" / "1.png", 1)
    assert message(tmp_path) == (
        "all pictures are of one class: there is nothing to learn\n"
        "  --> DIR/pets\n"
        "   = expected: at least 2 classes\n"
        "   = got: cat"
    )


@pytest.mark.parametrize("suffix", ["jfif", "JPE", "jp2", "pnm", "tga", "webp", "Dib"])
def test_suffixes(flat, suffix):
    format_ = {"jfif": "JPEG", "JPE": "JPEG", "pnm": "PPM"}.get(suffix, "")
    pixels = Image.fromarray(np.full((5, 4, 3), 77, np.uint8))
    pixels.save(flat / "pets" / "cat" / f"1.{suffix}", format=format_ or None)
    data, lines = said(flat)
    assert (len(data.train) + len(data.test), lines) == (16, [])


@pytest.mark.parametrize("names", [
    ("train", "test", "val"), ("Training", "Testing", "validation"), ("TRAIN", "Test", "valid"),
])  # fmt: skip
def test_names_of_splits(tmp_path, names):
    for base, name in zip((0, 50, 90), names, strict=True):
        for index in range(3):
            picture(tmp_path / "pets" / name / "ab"[index % 2] / f"{index}.png", base + index)
    data, lines = said(tmp_path)
    assert lines == []
    splits = (data.train, data.test, data.validation)
    assert list(map(values, splits)) == [[0, 2, 1], [50, 52, 51], [90, 92, 91]]
    assert data.validation.labels.tolist() == [0, 0, 1]


def test_splits_that_are_missing(tmp_path):
    for index in range(10):
        picture(tmp_path / "pets" / "train" / "ab"[index % 2] / f"{index}.png", index)
    picture(tmp_path / "pets" / "val" / "a" / "1.png", 90)
    picture(tmp_path / "pets" / "test" / "1.png", 90)  # without labels, as contests have them
    picture(tmp_path / "pets" / "more" / "b" / "1.png", 90)
    data, lines = said(tmp_path)
    assert (len(data.train), len(data.test), len(data.validation)) == (8, 2, 1)
    assert lines == [
        "note: 0.2 of each class in pets/train is set aside for test, as there is no folder test",
        "warning: pets: passed over 2 folders beside those of the splits: more, test",
    ]


def test_a_class_called_train(tmp_path):
    for name in ("car", "plane", "train"):
        for index in range(5):
            picture(tmp_path / "pets" / name / f"{index}.png", index)
    assert said(tmp_path)[0].classes == ("car", "plane", "train")


def test_a_class_without_test_pictures(tmp_path):
    for split, name in (("train", "a"), ("train", "b"), ("test", "a")):
        picture(tmp_path / "pets" / split / name / "1.png", 7)
    (tmp_path / "pets" / "test" / "b").mkdir()
    data, _ = said(tmp_path)
    assert data.test.labels.tolist() == [0]


@pytest.mark.parametrize(("background", "value"), [("white", 255), ("black", 0), ("#30fF20", None)])
def test_transparency(flat, background, value):
    ground = {"#30fF20": [0x30, 0xFF, 0x20]}.get(background, [value] * 3)
    pixels = np.zeros((5, 4, 4), np.uint8)
    pixels[0, 0] = [10, 20, 30, 255]
    cats = flat / "pets" / "cat"
    Image.fromarray(pixels).save(cats / "x.png")
    Image.fromarray(pixels[..., [0, 3]]).save(cats / "y.png")
    full = pixels.copy()
    full[..., 3] = 255
    Image.fromarray(full).save(cats / "z.png")
    palette = Image.new("P", (4, 5))
    palette.save(cats / "p.gif", transparency=0)
    data, (line,) = said(flat, background=background)
    assert line.startswith(f"note: 3 pictures are transparent: laid over {background} (")
    assert all(f"cat/{name}" in line for name in ("x.png", "y.png", "p.gif"))
    every = np.concatenate([data.train.images, data.test.images])
    over = [image for image in every if image[:, -1, -1].tolist() == ground]
    assert len(over) >= 3
    assert any(image[:, 0, 0].tolist() == [10, 20, 30] for image in over)
    assert any(image[:, 0, 0].tolist() == [10, 10, 10] for image in over)


def test_frames_are_counted(flat):
    frames = [Image.new("RGB", (4, 5), colour) for colour in ("red", "green", "blue")]
    for name in ("a.gif", "b.tif"):
        frames[0].save(flat / "pets" / "dog" / name, save_all=True, append_images=frames[1:])
    _, lines = said(flat)
    several = "note: 2 pictures are of several frames or pages: the first is used "
    assert lines in ([f"{several}(dog/a.gif, dog/b.tif)"], [f"{several}(dog/b.tif, dog/a.gif)"])


def test_labels_from_a_table(flat):
    pets = flat / "pets"
    for name in ("dog/4.png", "cat/9.png"):
        (pets / name).rename(pets / f"{name[0]}{name[4:]}")  # c9.png, d4.png
    named = [f"cat/{i}.png" for i in range(4)] + ["c9"]
    table = ["id,breed", *(f"{name},small" for name in named), "d4.png,large", "dog/0.png,large"]
    (flat / "table.csv").write_text("\n".join(table))
    data, lines = said(flat, labels="table.csv", test=0.3)
    assert data.classes == ("large", "small")
    every = {**dict(zip(values(data.train), data.train.labels, strict=True)),
             **dict(zip(values(data.test), data.test.labels, strict=True))}  # fmt: skip
    assert every == {0: 1, 1: 1, 2: 1, 3: 1, 9: 1, 24: 0, 20: 0}
    assert lines == [
        "note: table.csv: names in column id, classes in column breed",
        "warning: pets: passed over 8 pictures without a label: cat/4.png, cat/5.png, cat/6.png "
        "and 5 more",
    ]
    info = ImageFolder(path="pets", labels="table.csv").info(DataPaths(spec_dir=flat))
    assert info == DatasetInfo((3, 5, 4), 2)


@pytest.mark.parametrize(("rows", "text"), [
    (["cat/0.png,a", "cow.png,b", "1.png,b", "x,a"],
     "3 of 4 pictures that table.csv lists are not in pets, or several have that name\n"
     "  --> DIR/table.csv\n   = got: cow.png, 1.png, x"),
    (["cat/0.png,a", "cat/0.png,b"],
     "table.csv gives cat/0.png several classes\n"
     "  --> DIR/table.csv\n   = expected: a class for each picture"),
    (["cat/0.png,a", "cat/1.png,"],
     "table.csv gives cat/1.png no class\n"
     "  --> DIR/table.csv\n   = expected: a class for each picture"),
])  # fmt: skip
def test_tables_that_do_not_fit(flat, rows, text):
    (flat / "table.csv").write_text("\n".join(rows))
    assert message(flat, labels="table.csv") == text


def test_without_pillow(flat, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    text = message(flat)
    assert text.startswith("reading pictures needs Pillow\n  --> DIR/pets/cat/")
    assert text.endswith('   = help: pip install "cnnkit[images]"')


def test_missing_folder(tmp_path):
    with pytest.raises(DataUnavailable) as caught:
        load(tmp_path)
    assert str(caught.value) == f"there is no folder pets\n  --> {tmp_path}/pets"


def test_broken_picture(flat):
    good = (flat / "pets" / "dog" / "2.png").read_bytes()
    help = "\n   = help: open it in a picture viewer; mend it, or leave it out"
    flipped = bytearray(good)
    flipped[55] ^= 1 << 5  # decodes to other pixels: only the checksum tells
    for data in (b"", b"<html>", good[:-20], bytes(flipped)):
        (flat / "pets" / "dog" / "2.png").write_bytes(data)
        text = message(flat)
        assert text.startswith(
            "2.png is not a picture that can be read, or is damaged\n"
            "  --> DIR/pets/dog/2.png\n"
            "   = got: "
        )
        assert text.endswith(help)


def test_a_picture_that_is_gone_is_damage_and_no_case_for_a_fallback(flat):
    picture = flat / "pets" / "dog" / "2.png"
    picture.unlink()
    picture.symlink_to("nowhere.png")
    with pytest.raises(DataError) as caught:
        load(flat)
    assert not isinstance(caught.value, DataUnavailable)
    assert str(caught.value).startswith("there is no file 2.png\n")


def test_deep_picture(flat):
    pixels = np.arange(20, dtype=np.uint16).reshape(5, 4) * 3000
    Image.fromarray(pixels).save(flat / "pets" / "dog" / "2.png")
    assert message(flat) == (
        "2.png has more than 8 bits per channel\n"
        "  --> DIR/pets/dog/2.png\n"
        "   = expected: 8 bits\n"
        "   = got: mode I;16\n"
        "   = help: save it with 8 bits per channel"
    )


def test_enormous_picture_is_not_decoded(flat, peak):
    Image.new("1", (10_000, 10_000)).save(flat / "pets" / "dog" / "2.png")
    assert peak(lambda: message(flat)) == (
        "2.png is too large\n"
        "  --> DIR/pets/dog/2.png\n"
        "   = expected: at most 33,554,432 pixels\n"
        "   = got: 10000x10000, 100,000,000 pixels\n"
        "   = help: make it smaller first"
    )


def test_other_size(flat):
    for name in ("cat", "dog"):
        for index in range(5):
            picture(flat / "pets" / name / f"{index}.png", index, (6, 4))
    expected = "height and width (6, 4), as in DIR/pets/cat/"
    lines = message(flat).splitlines()
    assert lines[:2] == ["5 of 15 files cannot be used", "  --> DIR/pets"]
    for line in lines[2:7]:
        assert line.startswith("   = cat/")
        assert line.endswith(".png: has another size than the pictures before it ((5, 4))")
    assert lines[7:] == ["   = help: resize all of them: size = [6, 4] in [data]"]
    for index in range(5, 10):
        picture(flat / "pets" / "cat" / f"{index}.png", index, (6, 4))
    picture(flat / "pets" / "dog" / "1.png", 1)
    lines = message(flat).splitlines()
    assert lines[0] == "1.png has another size than the pictures before it"
    assert lines[2].startswith(f"   = expected: {expected}")
    assert lines[3:] == ["   = got: (5, 4)",
                         "   = help: resize all of them: size = [6, 4] in [data]"]  # fmt: skip


def test_all_damaged_pictures_at_once(flat):
    for name in ("cat/1.png", "cat/2.png", "dog/3.png"):
        path = flat / "pets" / name
        path.write_bytes(path.read_bytes()[:60])
    lines = message(flat).splitlines()
    assert lines[:2] == ["3 of 15 files cannot be used", "  --> DIR/pets"]
    whys = [
        line.partition(": is not a picture that can be read, or is damaged (") for line in lines
    ]
    assert sorted(why[0] for why in whys[2:5]) == [
        "   = cat/1.png", "   = cat/2.png", "   = dog/3.png"]  # fmt: skip
    assert lines[5:] == ["   = help: open it in a picture viewer; mend it, or leave it out"]


def test_a_large_photograph_is_read_smaller(flat):
    Image.new("RGB", (7000, 5000), (9, 8, 7)).save(flat / "pets" / "cat" / "big.jpg")
    (flat / "pets" / "cat" / "0.png").unlink()
    data, _ = said(flat, size=[5, 4], test=0.5)
    every = np.concatenate([data.train.images, data.test.images])
    assert sum(np.allclose(image, np.reshape([9, 8, 7], (3, 1, 1)), atol=2) for image in every) == 1


SUFFIXES = (
    ".avif, .bmp, .dib, .gif, .jfif, .jp2, .jpe, .jpeg, .jpg, .pbm, .pgm, .png, .pnm, .ppm, .tga, "
    ".tif, .tiff, .webp"
)


def test_folders_that_do_not_fit(flat):
    pets = flat / "pets"
    (pets / "empty").mkdir()
    assert message(flat) == (
        "there are no pictures in the class folder empty\n"
        "  --> DIR/pets/empty\n"
        f"   = expected: files named {SUFFIXES}\n"
        "   = got: 0 other files\n"
        "   = help: put pictures into it, or take empty away"
    )
    (pets / "empty").rename(pets / "test")
    assert message(flat) == (
        "pets has no folder train\n"
        "  --> DIR/pets\n"
        "   = expected: train and test, or one folder per class\n"
        "   = got: test"
    )
    (pets / "train").mkdir()
    assert message(flat) == (
        "there are no class folders in train\n"
        "  --> DIR/pets/train\n"
        "   = expected: one folder of pictures per class, such as cat/ and dog/\n"
        '   = help: where a table has the classes, name it: labels = "labels.csv" in [data]'
    )
    picture(pets / "train" / "cat" / "1.png", 1)
    picture(pets / "test" / "cow" / "1.png", 1)
    assert message(flat) == (
        "class cow has test pictures, but none to train on\n"
        "  --> DIR/pets/test/cow\n"
        "   = expected: cat"
    )
    (pets / "Training" / "cat").mkdir(parents=True)
    assert message(flat) == (
        "pets has folders Training and train, which mean the same\n"
        "  --> DIR/pets\n"
        "   = expected: train and test, or one folder per class\n"
        "   = got: Training, test, train"
    )


def test_path_ends_too_early(flat):
    (flat / "pets").rename(flat / "inner")
    (flat / "pets").mkdir()
    (flat / "inner").rename(flat / "pets" / "archive")
    assert message(flat).endswith(
        "   = got: 0 other files and 2 folders\n"
        "   = help: archive seems to hold folders of classes itself: let path end with it"
    )


def test_pictures_to_train_on_without_classes(tmp_path):
    for split in ("train", "test"):
        picture(tmp_path / "pets" / split / "1.png", 1)
    assert message(tmp_path).startswith("there are no class folders in train\n")


def test_too_few_to_part(flat):
    assert message(flat, test=0.01) == (
        "no picture is left for test: 0.01 of each class is less than one\n"
        "  --> DIR/pets\n"
        "   = got: 10 of cat, 5 of dog\n"
        "   = help: raise test, add pictures, or make folders train and test"
    )


def test_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "pets").write_bytes(b"x")
    assert message(tmp_path) == "pets is a file, not a folder\n  --> DIR/pets"
