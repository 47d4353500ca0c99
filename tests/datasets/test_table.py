"""The dataset csv: tables as people have them, and every way they can be wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from cnnkit.base import DataPaths, DatasetInfo
from cnnkit.datasets import Csv
from cnnkit.errors import DataError, DataUnavailable

RNG = np.random.default_rng(5)
PIXELS = RNG.integers(0, 256, (10, 4))
LABELS = [0, 1] * 5


def lines(pixels=PIXELS, labels=LABELS, sep=","):
    return [sep.join(map(str, [label, *row])) for label, row in zip(labels, pixels, strict=True)]


def write(path: Path, text: list[str] | str, encoding: str = "utf-8") -> None:
    path.write_bytes(("\n".join(text) if isinstance(text, list) else text).encode(encoding))


def load(folder: Path, text: list[str] | str, said: list[str] | None = None, **options: object):
    write(folder / "t.csv", text)
    say = (lambda line: None) if said is None else said.append
    return Csv(path="t.csv", **options).load(DataPaths(spec_dir=folder, say=say))


def message(folder: Path, text: list[str] | str, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        load(folder, text, **options)
    return str(caught.value).replace(str(folder), "DIR")


def rows_of(data) -> list[list[int]]:
    """Return label and pixels of every image, sorted."""
    splits = [split for split in (data.train, data.test, data.validation) if split]
    pairs = ((s.labels[:, None], s.images.reshape(len(s), -1)) for s in splits)
    return sorted(np.concatenate([np.concatenate(pair, axis=1) for pair in pairs]).tolist())


WANTED = sorted([label, *row] for label, row in zip(LABELS, PIXELS.tolist(), strict=True))
NAMES = "label,p0,p1,p2,p3"
LAST = [f"{line[2:]},{line[0]}" for line in lines()]


@pytest.mark.parametrize(
    ("text", "options", "column"),
    [
        (lines(), {}, "1"),
        ([NAMES, *lines()], {}, "label"),
        ("\ufeff" + "\r\n".join([NAMES, *lines()]) + "\r\n\r\n", {}, "label"),
        (["p0;p1;p2;p3;Class", *(line.replace(",", ";") for line in LAST)], {}, "Class"),
        ([line.replace(",", "\t") for line in LAST], {"label": -1}, "5"),
        (["what,p0,p1,p2,p3", *lines()], {"label": "what"}, "what"),
        (["what,p0,p1,p2,p3", *lines()], {"label": 0}, "what"),
        (["label,0,1,2,3", *lines()], {}, "label"),
        (["0,1,2,3,4", *lines()], {}, "0"),
        ([f'"{line}"'.replace(",", '","') for line in [NAMES, *lines()]], {}, "label"),
        ([line.replace(",", ".0,") for line in lines()], {}, "1"),
        ([line.replace(",", "  ") for line in lines()], {}, "1"),
        (LAST, {}, "5"),
        (["what,p0,p1,p2,p3", *lines()], {}, "what"),
        (["p0,p1,p2,p3,what", *LAST], {}, "what"),
        (
            ["emotion,pixels", *(line.replace(",", " ").replace(" ", ",", 1) for line in lines())],
            {},
            "emotion",
        ),
    ],
)
def test_forms(tmp_path, text, options, column):
    said: list[str] = []
    data = load(tmp_path, text, said, **options)
    assert data.train.images.dtype == np.uint8
    assert data.train.images.shape == (8, 1, 2, 2)
    assert data.classes == ("0", "1")
    assert rows_of(data) == WANTED
    assert said == [f"note: t.csv: labels in column {column}, images of 2x2"]
    info = Csv(path="t.csv", **options).info(DataPaths(spec_dir=tmp_path))
    assert info == DatasetInfo((1, 2, 2), 2)


def test_words_gzip_and_columns_that_are_neither(tmp_path):
    words = [f'{i},"{["a, b", "c"][i % 2]}",x,{line[2:]}' for i, line in enumerate(lines())]
    packed = gzip.compress("\n".join(["id,class,who,p,q,r,s", *words]).encode())
    (tmp_path / "t.csv.gz").write_bytes(packed)
    said: list[str] = []
    dataset = Csv(path="t.csv.gz", ignore=["who"])
    data = dataset.load(DataPaths(spec_dir=tmp_path, say=said.append))
    assert data.classes == ("a, b", "c")
    assert rows_of(data) == WANTED
    assert said == [
        "note: t.csv.gz: labels in column class, images of 2x2; not used: column id, column who"
    ]


def test_pixels_in_one_column(tmp_path):
    rows = [f"{line[0]},{line[2:].replace(',', ' ')},Training" for line in lines()]
    said: list[str] = []
    assert rows_of(load(tmp_path, ["emotion,pixels,Usage", *rows], said)) == WANTED
    assert said == ["note: t.csv: labels in column emotion, images of 2x2; not used: column Usage"]
    assert message(tmp_path, [*rows, "1,2 3,", "1,2 3 x 4,", "1,,"]) == (
        "3 lines of t.csv are no image with a label\n"
        "  --> DIR/t.csv\n"
        "   = expected: 3 fields, numbers but for the label\n"
        "   = got: line 11 has 2 pixels, line 12 has 'x' in column 2, line 13 has 0 pixels\n"
        "   = help: mend the lines, or take them out"
    )


def test_files_for_test_and_validation(tmp_path):
    write(tmp_path / "test.csv", lines()[:4])
    write(tmp_path / "val.csv", [NAMES, *lines()[4:6]])
    data = load(tmp_path, lines(), test_path="test.csv", validation_path="val.csv")
    assert (len(data.train), len(data.test), len(data.validation)) == (10, 4, 2)
    np.testing.assert_array_equal(data.test.images.reshape(4, 4), PIXELS[:4])


def test_sizes_and_channels(tmp_path):
    assert load(tmp_path, lines(), size=[1, 4]).train.images.shape == (8, 1, 1, 4)
    colour = RNG.integers(0, 256, (10, 12))
    for layout, order in (("hwc", (2, 2, 3)), ("chw", (3, 2, 2))):
        data = load(tmp_path, lines(colour), layout=layout, test=0.5, seed=1)
        image = data.train.images[0]
        (row,) = [row for row in colour.tolist() if sorted(row) == sorted(image.ravel().tolist())]
        want = np.reshape(row, order)
        np.testing.assert_array_equal(image, want.transpose(2, 0, 1) if layout == "hwc" else want)
    assert message(tmp_path, lines(colour)) == (
        "the 12 columns of pixels may have their channels first or last\n"
        "  --> DIR/t.csv\n"
        '   = help: write layout = "hwc" or layout = "chw" in [data]'
    )


def test_floats_stay_floats(tmp_path):
    data = load(tmp_path, lines(PIXELS / 512))
    assert data.train.images.dtype == np.float32
    assert load(tmp_path, lines(PIXELS * 9)).train.images.dtype == np.float32


WRONG = [*lines()[:3], "0,1,2,x,4", "", "0,1,2,3", "1,,2,3,4", *lines()[5:]]


@pytest.mark.parametrize(
    ("text", "options", "want"),
    [
        (
            WRONG,
            {},
            "3 lines of t.csv are no image with a label\n"
            "  --> DIR/t.csv\n"
            "   = expected: 5 fields, numbers but for the label\n"
            "   = got: line 4 has 'x' in column 4, line 6 has 4 fields, "
            "line 7 has nothing in column 2\n"
            "   = help: mend the lines, or take them out",
        ),
        (
            [NAMES.replace(",", ";"), *(line.replace(",", ";") for line in lines()), "1;0,5;1;2;3"],
            {},
            "a line of t.csv is no image with a label\n"
            "  --> DIR/t.csv\n"
            "   = expected: 5 fields, numbers but for the label\n"
            "   = got: line 12 has '0,5' in column p0\n"
            "   = help: write 0.5 for 0,5",
        ),
        (
            [NAMES, *lines(), ",1,2,3,4"],
            {},
            "an image has no label\n"
            "  --> DIR/t.csv (column label)\n"
            "   = got: line 12\n"
            "   = help: write its class there, or take the line out",
        ),
        (
            [NAMES, *lines(), "0,1,2,3,4,5"],
            {},
            "a line of t.csv is no image with a label\n"
            "  --> DIR/t.csv\n"
            "   = expected: 5 fields, numbers but for the label\n"
            "   = got: line 12 has 6 fields\n"
            "   = help: mend the lines, or take them out",
        ),
        (
            lines(PIXELS[:, :2]),
            {},
            "2 columns of pixels make no image\n"
            "  --> DIR/t.csv\n"
            "   = expected: height x width, or 3 times that\n"
            "   = got: no size, and no square\n"
            "   = help: write size = [height, width] in [data]; columns that are no pixels go into "
            "ignore, and label says which has the labels",
        ),
        (
            lines(),
            {"size": [3, 3]},
            "4 columns of pixels make no image\n"
            "  --> DIR/t.csv\n"
            "   = expected: height x width, or 3 times that\n"
            "   = got: size = [3, 3]\n"
            "   = help: write size = [height, width] in [data]; columns that are no pixels go into "
            "ignore, and label says which has the labels",
        ),
        (
            [NAMES, *lines()],
            {"label": "digit"},
            "t.csv has no column 'digit'\n"
            "  --> DIR/t.csv\n"
            "   = expected: label, p0, p1, p2, p3\n"
            "   = got: 5 columns",
        ),
        ("\n \n", {}, "t.csv is empty\n  --> DIR/t.csv\n   = expected: a line for each image"),
        (
            "\0\1\2",
            {},
            "t.csv is not a table of text\n"
            "  --> DIR/t.csv\n"
            "   = expected: lines of comma-separated values\n"
            "   = got: line 1 is no UTF-8\n"
            "   = help: save it as CSV, in UTF-8",
        ),
        (
            "1," * (1 << 22),
            {},
            "t.csv is not a table of text\n"
            "  --> DIR/t.csv\n"
            "   = expected: lines of comma-separated values\n"
            "   = got: line 1 has no end\n"
            "   = help: save it as CSV, in UTF-8",
        ),
        (
            '"' + "1" * 131_073 + '",2',
            {},
            "t.csv is not a table of text\n"
            "  --> DIR/t.csv\n"
            "   = expected: lines of comma-separated values\n"
            "   = got: field larger than field limit (131072)\n"
            "   = help: save it as CSV, in UTF-8",
        ),
    ],
)
def test_what_is_wrong(tmp_path, text, options, want):
    assert message(tmp_path, text, **options) == want


def test_a_bad_line_is_found_by_check_too(tmp_path):
    write(tmp_path / "t.csv", WRONG)
    with pytest.raises(DataError, match="line 6 has 4 fields"):
        Csv(path="t.csv").info(DataPaths(spec_dir=tmp_path))


def test_missing_file_pipe_and_bomb(tmp_path, peak):
    with pytest.raises(DataUnavailable, match=r"there is no file t\.csv"):
        Csv(path="t.csv").load(DataPaths(spec_dir=tmp_path))
    assert Csv(path="t.csv").info(DataPaths(spec_dir=tmp_path)) is None
    (tmp_path / "t.csv").write_bytes(gzip.compress((b"0," * (1 << 19) + b"1\n") * 60))
    with pytest.raises(DataError) as caught:
        peak(lambda: Csv(path="t.csv").info(DataPaths(spec_dir=tmp_path)))
    assert str(caught.value) == (
        f"t.csv unpacks to more than {500 * (tmp_path / 't.csv').stat().st_size} bytes\n"
        f"  --> {tmp_path}/t.csv\n"
        "   = help: get the file anew from where it came"
    )
