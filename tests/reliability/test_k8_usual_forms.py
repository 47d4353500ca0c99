"""K8: data in the forms that people have: tables as programs write them, archives with other names,
files of other kinds; read as they are meant, or refused with what to do, which is done."""

# ruff: noqa: E501  # a case is a line

from __future__ import annotations

import gzip

import numpy as np
import pytest
from inputs import TEST, X, Y, accuracy, arrays, npz, spec

pytestmark = pytest.mark.reliability
ROWS = [[int(y), *map(int, x.ravel())] for x, y in zip(X[:900], Y[:900], strict=True)]
NAMES = ["label", *(f"p{i}" for i in range(64))]
UNIT = 'transforms = [{ type = "scale", range = [0, 1] }]'


def joined(rows=ROWS, names=NAMES, by=",", end="\n"):
    lines = [names, *rows] if names else rows
    return end.join(by.join(map(str, line)) for line in lines) + end


def usage(names):
    return [
        [row[0], '"' + " ".join(map(str, row[1:])) + '"', names[n % 5]]
        for n, row in enumerate(ROWS)
    ]


CONTEST = ["Training", "Training", "Training", "PublicTest", "PrivateTest"]
SHARES = [[row[0], *(f"{n / 255:.3f}" for n in row[1:])] for row in ROWS]
TABLES = {  # the text, in an encoding or not; options; what is said
    "plain": (joined(), "", "labels in column label, images of 8x8"),
    "no names": (joined(names=None), "", "labels in column 1"),
    "labels last": (joined([[*row[1:], row[0]] for row in ROWS], None), "", "labels in column 65"),
    "semicolons, with a mark": (joined(by=";", end="\r\n").encode("utf-8-sig"), "", "labels in column label"),
    "tabs": (joined(by="\t"), "", "labels in column label"),
    "blanks": (joined(names=None, by="   "), "", "labels in column 1"),
    "quotes": (joined([[f'"{n}"' for n in row] for row in ROWS]), "", "labels in column label"),
    "gzip": (gzip.compress(joined().encode()), "", "labels in column label"),
    "an index": (joined([[n, *row] for n, row in enumerate(ROWS)], ["", *NAMES]), "", "images of 8x8; not used: column 1"),
    "words": (joined([[f"digit {row[0]}", *row[1:]] for row in ROWS]), "", "labels in column label"),
    "shares": (joined(SHARES), UNIT, "labels in column label"),
    "all pixels in one": (joined(usage(CONTEST), ["emotion", "pixels", "Usage"]), "", "splits in column Usage, images of 8x8"),
    "a column of splits": (joined([["train" if n % 5 else "test", *row] for n, row in enumerate(ROWS)], ["split", *NAMES]), "", "splits in column split, images of 8x8"),
}  # fmt: skip


def test_tables(cases, tmp_path, call):
    for name in cases.of(TABLES, quick=5):
        text, options, said = TABLES[name]
        path = spec(tmp_path / name, f'type = "csv"\npath = "t.csv"\n{options}')
        (path.parent / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        code, news = call("run", path, "--out", path.parent / "run")
        cases.judge(code, news, said, lambda p=path: accuracy(p.parent / "run") > 0.7)


WRONG = {  # the text; what is said; the text when that was followed, and options
    "decimal commas": (joined([[str(n).replace(".", ",") for n in row] for row in SHARES], by=";"), "write 0.5 for 0,5", joined(SHARES, by=";"), UNIT),
    "shares": (joined(SHARES), r"give scale the range = \[0, 1\]", joined(SHARES), UNIT),
    "UTF-16": (joined(by="\t").encode("utf-16"), "save it as CSV, in UTF-8", joined(by="\t"), ""),
    "a workbook": (b"PK\3\4" + bytes(200), "save it as CSV, in UTF-8", joined(), ""),
    "latin-1": (joined([["\u00e4" * (row[0] == 1) + str(row[0]), *row[1:]] for row in ROWS]).encode("latin-1"), "save it as CSV, in UTF-8", joined(), ""),
    "sep=": ("sep=;\n" + joined(by=";"), "take the first line out", joined(by=";"), ""),
    "names twice": (joined(ROWS[:5]) + joined(), "take it out", joined(), ""),
    "a sum": (joined() + "sum,900\n", "take them out", joined(), ""),
    "a gap": (joined([*ROWS, ["1", *[""] * 64]]), "take them out", joined(), ""),
    "a number of lines": (joined([[n, *row] for n, row in enumerate(ROWS)], None), "go into ignore, and label says", joined([[n, *row] for n, row in enumerate(ROWS)], None), "ignore = [0]\nlabel = 1"),
}  # fmt: skip


def test_tables_that_are_wrong(cases, tmp_path, call):
    for name in cases.of(WRONG, quick=4):
        text, said, mended, options = WRONG[name]
        path = spec(tmp_path / name, 'type = "csv"\npath = "t.csv"')
        (path.parent / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        code, error = call("run", path, "--out", path.parent / "run")

        def follow(path=path, mended=mended, options=options):
            spec(path.parent, f'type = "csv"\npath = "t.csv"\n{options}')
            (path.parent / "t.csv").write_text(mended)
            return call("run", path, "--out", path.parent / "mended")[0] == 0 and (
                accuracy(path.parent / "mended") > 0.7
            )

        cases.judge(code, error, said, follow, spares="softmax")


def called(**names):
    """Return the arrays under other names, and the options that name them."""
    given = arrays()
    roles = {
        "x_train": "train_images",
        "y_train": "train_labels",
        "x_test": "test_images",
        "y_test": "test_labels",
    }
    return (
        {names[old]: given[old] for old in names},
        "\n".join(f'{roles[old]} = "{new}"' for old, new in names.items()),
    )


KERAS, OPTIONS = called(x_train="train_x", y_train="train_y", x_test="test_x", y_test="test_y")
WORDS = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
ARCHIVES = {  # arrays; options; what is said
    "no test part": ({"x_train": X, "y_train": Y}, "test = 0.2", ""),
    "other names": (KERAS, OPTIONS, ""),
    "a validation part": (arrays() | {"x_val": X[:99], "y_val": Y[:99]}, "", "99 to validate"),
    "more arrays": (arrays() | {"x_valid": X[:9], "y_valid": Y[:9]}, "", "not used: x_valid, y_valid"),
    "words": (arrays(y=lambda y: WORDS[y]), "", ""),
    "bytes": (arrays(y=lambda y: WORDS[y].astype("S")), "", ""),
    "words and numbers": (arrays() | {"y_train": Y[~TEST].astype(str)}, "", ""),
    "a column": (arrays(y=lambda y: y[:, None]), "", ""),
    "from 1": (arrays(y=lambda y: y + 1), "", "count from 1: output 0 of the network is class 1"),
    "whole floats": (arrays(y=lambda y: y.astype(float)), "", ""),
    "a channel": (arrays(lambda x: x[..., None]), "", ""),
    "MATLAB's axes": (arrays(lambda x: np.moveaxis(x, 0, 2)), 'layout = "hwcn"', ""),
    "truth values": (arrays(lambda x: x > 100), UNIT, ""),
}  # fmt: skip


def test_archives(cases, tmp_path, call):
    for name in cases.of(ARCHIVES, quick=5):
        given, options, said = ARCHIVES[name]
        path = npz(tmp_path / name, options, **given)
        code, news = call("run", path, "--out", path.parent / "run")
        cases.judge(code, news, said, lambda p=path: accuracy(p.parent / "run") > 0.8)


TENS = lambda y: 10 * y  # noqa: E731
OTHERS = {  # what is written as data.npz; what is said; the arrays when that was followed, and options
    "one array": (lambda p: np.save(p, X), r"this is one array \(npy\): load it, and save its arrays with numpy.savez", arrays(), ""),
    "MATLAB's": (lambda p: p.write(b"MATLAB 5.0 MAT-file" + bytes(99)), "this is a MATLAB file: load it, and save its arrays", arrays(), ""),
    "HDF5": (lambda p: p.write(b"\x89HDF\r\n\x1a\n" + bytes(99)), "this is an HDF5 file: load it", arrays(), ""),
    "a pickle": (lambda p: p.write(b"\x80\x04}q\0."), "this is a pickle, which cnnkit never opens: load it", arrays(), ""),
    "labels elsewhere": (lambda p: np.savez(p, X), "arrays of several files go into one with numpy.savez", arrays(), ""),
    "flat images": (lambda p: np.savez(p, **arrays(lambda x: x.reshape(-1, 64))), r"save images.reshape\(-1, 8, 8\)", arrays(), ""),
    "numbers as objects": (lambda p: np.savez(p, **arrays(y=lambda y: y.astype(object))), r"numbers with .astype\(int\)", arrays(), ""),
    "tens, of which the test lacks one": (
        lambda p: np.savez(p, **arrays(y=TENS) | {"x_test": X[TEST][Y[TEST] != 4], "y_test": TENS(Y[TEST][Y[TEST] != 4])}),
        r"numpy.searchsorted\(numpy.unique\(training_labels\), labels\), of each split",
        arrays() | {"x_test": X[TEST][Y[TEST] != 4], "y_test": np.searchsorted(np.unique(TENS(Y[~TEST])), TENS(Y[TEST][Y[TEST] != 4]))}, ""),
    "two columns of labels": (lambda p: np.savez(p, **arrays(y=lambda y: np.stack([y, y + 5], 1))), r"the column that has the classes, such as labels\[:, 0\]", arrays(), ""),
    "one-hot": (lambda p: np.savez(p, **arrays(y=lambda y: np.eye(10)[y])), r"save labels.argmax\(axis=1\)", arrays(), ""),
    "a name twice": (lambda p: np.savez(p, **arrays()), "'a' stands there twice", arrays(), "classes = [" + ", ".join(f'"{n}"' for n in range(10)) + "]"),
}  # fmt: skip


def test_files_of_other_kinds(cases, tmp_path, call):
    for name in cases.of(OTHERS, quick=5):
        write, said, mended, options = OTHERS[name]
        twice = f"classes = {list('aacdefghij')}" if name == "a name twice" else ""
        path = spec(tmp_path / name, f'type = "npz"\npath = "data.npz"\n{twice}')
        with (path.parent / "data.npz").open("wb") as file:
            write(file)
        code, error = call("run", path, "--out", path.parent / "run")

        def follow(path=path, mended=mended, options=options):
            npz(path.parent, options, **mended)
            return call("run", path, "--out", path.parent / "mended")[0] == 0 and (
                accuracy(path.parent / "mended") > 0.8
            )

        cases.judge(code, error, said, follow, spares="where it came")


def test_pickles_of_cifar(cases, tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("batches.meta", "test_batch", *(f"data_batch_{n}" for n in range(1, 6))):
        (folder / name).write_bytes(b"\x80\x02}q\0.")
    data = f'type = "image_folder"\npath = "{folder.name}"\nsize = 32'
    for command in cases.of([("run", spec(tmp_path, data)), ("init", "c", "--data", folder)]):
        code, error = call(*command)
        cases.judge(
            code, error, "pickles, as in the Python version of CIFAR, are never opened: write"
        )
