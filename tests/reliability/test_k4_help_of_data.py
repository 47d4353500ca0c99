"""K4: every help of an error about data is followed, to data that is right.

A row of a table: what was wrong, a part of the help, what was done, and the outcome, which is the
same for all of it: the images and labels that were meant.

Not followed here: "get the file anew", "open it in a picture viewer", "mend it" and "make it
smaller first", which ask for what nobody can write down, and `pip install`.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit.base import DataPaths, Dataset
from cnnkit.datasets import Csv, Digits, Idx, ImageFolder, Npz
from cnnkit.errors import DataError

pytestmark = pytest.mark.reliability
DIGITS = Digits().load(DataPaths()).train
X, Y = DIGITS.images[:200, 0], DIGITS.labels[:200]
ONE_HOT = np.eye(10, dtype=np.int64)[Y]
SEVERAL = ONE_HOT.copy()
SEVERAL[::4] |= ONE_HOT[1::4]
RGB = np.stack([X, X // 2, X // 3], 3)
COLUMNS = RGB.transpose(1, 2, 3, 0)  # as MATLAB has them


@pytest.fixture(autouse=True)
def counted(cases):
    """Each test is a case: its help comes to a right end where the test does."""
    cases.whole = True


Arrays = dict[str, np.ndarray]
Options = dict[str, object]


def arrays(x: np.ndarray = X, y: np.ndarray = Y, **more: np.ndarray) -> Arrays:
    return {"x_train": x, "y_train": y, "x_test": x, "y_test": y, **more}


def unique(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1]


NAMED = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
WORDS = np.array(NAMED)[Y]
RENUMBER = "numpy.searchsorted(numpy.unique(training_labels), labels), of each split"
NPZ: dict[str, tuple[Arrays, Options, str, Arrays, Options]] = {
    "halves": (arrays(y=Y + 0.5), {}, f"number them: {RENUMBER}", arrays(y=unique(Y + 0.5)), {}),
    "dates": (
        arrays(y=Y.astype("M8[D]")), {}, f"number them: {RENUMBER}",
        arrays(y=unique(Y.astype("M8[D]"))), {},
    ),
    "below 0": (arrays(y=Y - 4), {}, f"renumber: {RENUMBER}", arrays(y=unique(Y - 4)), {}),
    "far up": (arrays(y=Y + 2**40), {}, f"renumber: {RENUMBER}", arrays(y=unique(Y + 2**40)), {}),
    "tens": (arrays(y=Y * 10), {}, f"renumber them, {RENUMBER}", arrays(y=unique(Y * 10)), {}),
    "a gap": (
        arrays(y=Y + (Y > 4)), {}, "name every class: classes = ",
        arrays(y=Y + (Y > 4)), {"classes": list("01234-56789")},
    ),
    "one-hot": (
        arrays(y=ONE_HOT), {}, "save labels.argmax(axis=1)", arrays(y=ONE_HOT.argmax(axis=1)), {}
    ),
    "shares": (
        arrays(y=ONE_HOT * 0.8 + 0.02), {}, "save labels.argmax(axis=1)",
        arrays(y=(ONE_HOT * 0.8 + 0.02).argmax(axis=1)), {},
    ),
    "objects of words": (
        arrays(y=WORDS.astype(object)), {}, "words with .astype(str)",
        arrays(y=WORDS.astype(object).astype(str)), {},
    ),
    "objects of images": (
        arrays(x=np.array([*X, None], object)[:-1]), {}, "images of one size with numpy.stack",
        arrays(x=np.stack(list(X))), {},
    ),
    "no test arrays": (
        {"x_train": X, "y_train": Y}, {}, "take a share: test = 0.2",
        {"x_train": X, "y_train": Y}, {"test": 0.2},
    ),
    "other names": (
        {"x": X, "y": Y}, {}, "name the arrays with train_images",
        {"x": X, "y": Y}, {"train_images": "x", "train_labels": "y", "test": 0.2},
    ),
    "a small share": (
        {"x_train": X, "y_train": Y}, {"test": 0.01}, "raise test", {"x_train": X, "y_train": Y},
        {"test": 0.1},
    ),
    "channels first or last": (
        arrays(RGB[:, :3]), {}, 'write layout = "chw" or layout = "hwc"', arrays(RGB[:, :3]),
        {"layout": "hwc"},
    ),
    "two channels": (
        arrays(RGB[..., :2]), {}, 'write layout = "chw" or layout = "hwc"', arrays(RGB[..., :2]),
        {"layout": "hwc"},
    ),
    "MATLAB's axes": (
        arrays(COLUMNS), {}, 'write layout = "hwcn"', arrays(COLUMNS), {"layout": "hwcn"}
    ),
    "MATLAB's axes, in gray": (
        arrays(np.moveaxis(X, 0, 2)), {}, 'write layout = "hwcn"', arrays(np.moveaxis(X, 0, 2)),
        {"layout": "hwcn"},
    ),
}  # fmt: skip


def refused(dataset: Dataset, folder: Path, help: str) -> None:
    """Demand an error with that help."""
    with pytest.raises(DataError) as caught:
        dataset.load(DataPaths(spec_dir=folder))
    assert help in str(caught.value).partition("= help: ")[2], caught.value


def is_right(dataset: Dataset, folder: Path, count: int = len(X)) -> None:
    """Demand the digits, each with its label."""
    data = dataset.load(DataPaths(spec_dir=folder))
    shares = len(data.train) + len(data.test) == count
    assert shares or len(data.train) == len(data.test) == count
    wanted = {x.tobytes(): y for x, y in zip(X, Y, strict=True)}
    for split in (data.train, data.test):
        for image, label in zip(split.images, split.labels, strict=True):
            name, known = data.classes[label], wanted[np.ascontiguousarray(image[0]).tobytes()]
            assert name in (str(known), NAMED[known]) or label == known
            assert image.shape[1:] == (8, 8) or image.shape[1:] == (3, 8)


@pytest.mark.parametrize("case", NPZ)
def test_npz(case, tmp_path):
    wrong, options, help, right, added = NPZ[case]
    np.savez(tmp_path / "d.npz", **wrong)
    refused(Npz(path="d.npz", **options), tmp_path, help)
    np.savez(tmp_path / "d.npz", **right)
    if X.shape[1:] == right.get("x_train", right.get("x")).shape[1:]:
        is_right(Npz(path="d.npz", **added), tmp_path)
    else:  # cut, or in colour: the red channel is the digit
        data = Npz(path="d.npz", **added).load(DataPaths(spec_dir=tmp_path))
        assert data.train.labels.tolist() == Y.tolist()
        rows = data.train.images.shape[2]
        np.testing.assert_array_equal(data.train.images[:, 0], X[:, :rows])


def test_several_classes(tmp_path):
    np.savez(tmp_path / "d.npz", **arrays(y=SEVERAL))
    refused(Npz(path="d.npz"), tmp_path, "labels.sum(axis=1) == 1")
    one = SEVERAL.sum(axis=1) == 1
    assert 0 < one.sum() < len(one)
    np.savez(tmp_path / "d.npz", **arrays(X[one], SEVERAL[one].argmax(axis=1)))
    is_right(Npz(path="d.npz"), tmp_path, one.sum())
    np.savez(tmp_path / "d.npz", **arrays(y=SEVERAL[:, 0]))
    data = Npz(path="d.npz").load(DataPaths(spec_dir=tmp_path))
    assert data.train.labels.tolist() == SEVERAL[:, 0].tolist()


LINES = [",".join(map(str, [y, *x.ravel()])) for x, y in zip(X, Y, strict=True)]
NAMES = ",".join(["label", *(f"p{i}" for i in range(64))])
CSV: dict[str, tuple[list[str], Options, str, list[str], Options]] = {
    "a bad line": ([*LINES, "1,2,x"], {}, "take them out", LINES, {}),
    "another column": (
        [f"who,{NAMES}", *(f"me,{line}" for line in LINES)], {}, "go into ignore",
        [f"who,{NAMES}", *(f"me,{line}" for line in LINES)], {"ignore": ["who"]},
    ),
    "no square": (
        [line.rpartition(",")[0] for line in LINES], {}, "write size = [height, width]",
        [*LINES], {"size": [8, 8]},
    ),
    "the label is another": (
        [NAMES.replace("label", "it"), *LINES], {"label": "p0", "size": [2, 2]},
        "label says which has the labels", [NAMES.replace("label", "it"), *LINES], {"label": "it"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CSV)
def test_csv(case, tmp_path):
    wrong, options, help, right, added = CSV[case]
    (tmp_path / "t.csv").write_text("\n".join(wrong))
    refused(Csv(path="t.csv", **options), tmp_path, help)
    (tmp_path / "t.csv").write_text("\n".join(right))
    is_right(Csv(path="t.csv", **added), tmp_path)


def test_csv_in_colour(tmp_path):
    rows = [",".join(map(str, [y, *x.ravel()])) for x, y in zip(RGB, Y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    refused(Csv(path="t.csv"), tmp_path, 'write layout = "hwc" or layout = "chw"')
    is_right(Csv(path="t.csv", layout="hwc"), tmp_path)


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A folder of pictures for each digit."""
    for index, (image, label) in enumerate(zip(X, Y, strict=True)):
        home = tmp_path / "shots" / str(label)
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(home / f"{index}.png")
    return tmp_path


GRAY = {"mode": "grayscale"}


def test_another_size(shots):
    path = shots / "shots" / "0" / "x.png"
    Image.fromarray(X[0]).resize((16, 16), Image.Resampling.NEAREST).save(path)
    refused(ImageFolder(path="shots", **GRAY), shots, "size = [8, 8] in [data]")
    data = ImageFolder(path="shots", size=[8, 8], **GRAY).load(DataPaths(spec_dir=shots))
    assert len(data.train) + len(data.test) == 201


def test_damaged(shots):
    (shots / "shots" / "0" / "x.png").write_bytes(b"x")
    refused(ImageFolder(path="shots", **GRAY), shots, "leave it out")
    (shots / "shots" / "0" / "x.png").unlink()
    is_right(ImageFolder(path="shots", **GRAY), shots)


def test_more_than_8_bits(shots):
    path = next((shots / "shots" / "3").iterdir())
    pixels = np.asarray(Image.open(path))
    Image.fromarray(pixels.astype(np.uint16) * 257).save(path)
    refused(ImageFolder(path="shots", **GRAY), shots, "save it with 8 bits per channel")
    Image.fromarray((np.asarray(Image.open(path)) // 257).astype(np.uint8)).save(path)
    is_right(ImageFolder(path="shots", **GRAY), shots)


def test_path_too_short(shots):
    (shots / "shots").rename(shots / "inner")
    (shots / "outer").mkdir()
    (shots / "inner").rename(shots / "outer" / "shots")
    refused(ImageFolder(path="outer", **GRAY), shots, "let path end with it")
    is_right(ImageFolder(path="outer/shots", **GRAY), shots)


def test_pictures_without_folders(shots):
    (shots / "flat").mkdir()
    rows = []
    for path in sorted((shots / "shots").rglob("*.png")):
        path.rename(shots / "flat" / path.name)
        rows.append(f"{path.name},{path.parent.name}")
    refused(ImageFolder(path="flat", **GRAY), shots, 'labels = "labels.csv"')
    (shots / "labels.csv").write_text("\n".join(rows))
    is_right(ImageFolder(path="flat", labels="labels.csv", **GRAY), shots)


def test_a_share_that_is_too_small(shots):
    refused(ImageFolder(path="shots", test=0.001, **GRAY), shots, "raise test")
    is_right(ImageFolder(path="shots", test=0.1, **GRAY), shots)


def test_swapped_files(tmp_path, to_idx):
    for name, array in (("x", X), ("y", Y.astype(np.uint8))):
        (tmp_path / name).write_bytes(gzip.compress(to_idx(array)))
    refused(Idx(train_images="y", train_labels="x"), tmp_path, "exchange the two files")
    is_right(Idx(train_images="x", train_labels="y"), tmp_path)
