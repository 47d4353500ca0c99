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


def test_what_is_no_picture_is_passed_over_aloud(flat):
    (flat / "pets" / "cat" / "Thumbs.db").write_bytes(b"x")
    (flat / "pets" / "cat" / ".hidden.png").write_bytes(b"x")
    (flat / "pets" / ".git").mkdir()
    said: list[str] = []
    data = ImageFolder(path="pets").load(DataPaths(spec_dir=flat, say=said.append))
    assert len(data.train) + len(data.test) == 15
    assert said == [f"{flat}/pets/cat: 1 files are no pictures, such as Thumbs.db"]


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
    text = peak(lambda: message(flat))
    assert "2.png is not a picture that can be read" in text
    assert "DecompressionBombWarning" in text


def test_other_size(flat):
    for name in ("cat", "dog"):
        for index in range(5):
            picture(flat / "pets" / name / f"{index}.png", index, (6, 4))
    text = message(flat)
    lines = text.splitlines()
    assert lines[0].endswith(".png has another size than the pictures before it")
    assert lines[1].startswith("  --> DIR/pets/cat/")
    assert lines[2].startswith("   = expected: height and width (6, 4), as in DIR/pets/cat/")
    assert lines[3] == "   = got: (5, 4)"
    assert lines[4] == "   = help: resize all of them: size = [6, 4] in [data]"


def test_folders_that_do_not_fit(flat):
    (flat / "pets" / "empty").mkdir()
    assert message(flat) == (
        "there are no pictures in the class folder empty\n"
        "  --> DIR/pets/empty\n"
        "   = expected: files named .bmp, .gif, .jpeg, .jpg, .pbm, .pgm, .png, .ppm, .tif, .tiff, "
        ".webp\n"
        "   = got: 0 other files"
    )
    (flat / "pets" / "empty").rename(flat / "pets" / "train")
    assert message(flat) == (
        "pets has a folder train or test, but not both\n"
        "  --> DIR/pets\n"
        "   = expected: train and test, or one folder per class\n"
        "   = got: train"
    )
    (flat / "pets" / "test").mkdir()
    assert message(flat) == (
        "there are no class folders in train\n"
        "  --> DIR/pets/train\n"
        "   = expected: one folder of pictures per class, such as cat/ and dog/"
    )
    picture(flat / "pets" / "train" / "cat" / "1.png", 1)
    picture(flat / "pets" / "test" / "cow" / "1.png", 1)
    assert message(flat) == (
        "class cow has test pictures, but none to train on\n"
        "  --> DIR/pets/test/cow\n"
        "   = expected: cat"
    )


def test_too_few_to_part(flat):
    assert message(flat, test=0.01) == (
        "no picture is left for test: 0.01 of each class is less than one\n"
        "  --> DIR/pets\n"
        "   = got: 10 of cat, 5 of dog\n"
        "   = help: raise test, add pictures, or make folders train and test"
    )


def test_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "pets").write_bytes(b"x")
    assert message(tmp_path) == "cannot list pets: Not a directory\n  --> DIR/pets"
