"""Tables: text files with an image and its label a line, or the name of a picture and its label."""

from collections.abc import Callable, Container, Generator, Iterator
from contextlib import closing, suppress
from itertools import count, islice
from math import isqrt
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Shape
from cnnkit.base import Data, DataPaths, DatasetInfo, PairOrNone, default
from cnnkit.base.component import PathText, nothing
from cnnkit.datasets.arrays import OwnArrays
from cnnkit.datasets.files import check_unpacked, content, exists, problem, some
from cnnkit.datasets.folders import split_of
from cnnkit.datasets.labels import Part
from cnnkit.errors import DataError

_LONGEST = 1 << 22  # bytes of a line; a picture of 1000x1000 takes as many
LABELS = ("label", "labels", "class", "target", "category", "y")
_INDICES = ("", "id", "index", "unnamed: 0")

Column = Annotated[str, Field(min_length=1)] | Annotated[int, Field(ge=-(2**20), le=2**20)]
"""The name of a column, or its number from 0; -1 is the last."""


class Table:
    """A file of lines with the same number of fields, below names of the columns or not."""

    def __init__(self, path: Path) -> None:
        """Look at the first two lines: whether the first has names, and what parts the fields.

        Raises:
            DataUnavailable, DataError: where there is no such file, or it is no text, or empty.
        """
        self.path, self.delimiter = path, ","
        with closing(self._lines()) as lines:
            first, second = next(lines, None), next(lines, None)
        if first is None:
            raise problem(path, f"{path.name} is empty", expected="a line for each image")
        visible = max(",;\t", key=first[1].count)
        self.delimiter = visible if visible in first[1] else " "
        self.top = self._fields(first[1])
        self.first = self._fields(second[1]) if second else self.top
        """The fields of the first line below the names."""
        self.names = self.top if _are_names(self.top, self.first) else []
        self.first = self.first if self.names else self.top
        self.width = len(self.first)

    def rows(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the text of each line below the names."""
        yield from islice(self._lines(), 1 if self.names else 0, None)

    def take_names(self, values: Container[str]) -> None:
        """Take the first line for names where none of its fields is one of the `values`."""
        if not any(field.strip() in values for field in self.top):
            self.names = self.top

    def column(self, wanted: Column) -> int:
        """Return the place of a column.

        Raises:
            DataError: where there is none of that name or number.
        """
        names = self.names or range(self.width)
        if isinstance(wanted, int) and -self.width <= wanted < self.width:
            return wanted % self.width
        if wanted in self.names:
            return self.names.index(str(wanted))
        known = some([str(name) for name in names])
        what = f"{self.path.name} has no column {wanted!r}"
        raise problem(self.path, what, expected=known, got=f"{self.width} columns")

    def named(self, known: tuple[str, ...]) -> int | None:
        """Return the first column that is called by one of the names, or None."""
        found = [place for place, name in enumerate(self.names) if name.lower() in known]
        return found[0] if found else None

    def called(self, column: int) -> str:
        """Return what texts call a column."""
        return f"column {(self.names and self.names[column].strip()) or column + 1}"

    def values(self, column: int) -> list[str]:
        """Return the fields of one column.

        Raises:
            DataError: naming the lines that have fewer or more fields than the others.
        """
        try:
            return [self._field(text, column) for _, text in self.rows()]
        except ValueError as error:
            raise self._wrong([], str(error)) from error

    def splits(self) -> tuple[int, list[str]] | None:
        """Return the column that says to which split each line belongs, and what it says."""
        for place in (c for c, field in enumerate(self.first) if split_of(field.strip())):
            found = [split_of(word) for word in self.values(place)]
            if all(found) and "train" in found and len(set(found)) > 1:
                return place, found
        return None

    def numbers(self, columns: list[int]) -> Array:
        """Return the fields of some columns as float32, (lines, columns).

        Raises:
            DataError: naming the lines that are wrong.
        """
        delimiter, start = self.delimiter, self.width - len(columns)
        is_tail = columns == list(range(start, self.width))
        packed = self.packed(columns)

        def picked() -> Iterator[str]:
            for _, text in self.rows():
                if is_tail and self._is_plain(text):
                    yield text.split(delimiter, start)[-1]
                else:
                    fields = self._split(text)
                    yield delimiter.join(fields[column] for column in columns)

        try:
            cut = None if packed or delimiter == " " else delimiter
            return np.loadtxt(picked(), np.float32, delimiter=cut, comments=None, ndmin=2)
        except ValueError as error:
            raise self._wrong(columns, str(error)) from error

    def packed(self, columns: list[int]) -> int:
        """Return how many numbers are in the one field that has them all, 0 where there is none."""
        parts = self.first[columns[0]].split() if len(columns) == 1 else []
        return len(parts) if len(parts) > 1 and all(map(_is_number, parts)) else 0

    def _wrong(self, columns: list[int], error: str) -> DataError:
        """Look for the lines that cannot be read, now that there are some."""
        found, help, packed = [], "mend the lines, or take them out", self.packed(columns)
        for number, text in self.rows():
            fields = self._fields(text)
            if len(fields) != self.width:
                found.append(f"line {number} has {len(fields)} fields")
            elif packed and len(fields[columns[0]].split()) != packed:
                found.append(f"line {number} has {len(fields[columns[0]].split())} pixels")
            elif bad := [(c, one) for c in columns for one in _not_numbers(fields[c], packed)]:
                column, field = bad[0]
                called = repr(field[:20]) if field.strip() else "nothing"
                found.append(f"line {number} has {called} in {self.called(column)}")
                if _is_number(field.replace(",", ".")):
                    help = "write 0.5 for 0,5"
        first = f"{self.path.name} has {self.width} fields in its first line, and others below"
        rows = sum(1 for _ in self.rows())
        if len(found) > rows / 2 and all("fields" in one for one in found):
            raise problem(self.path, first, got=some(found, 3), help="take the first line out")
        are = f"{len(found)} lines of {self.path.name} are"
        are = are if len(found) != 1 else f"a line of {self.path.name} is"
        what = f"{are} no image with a label"
        expected = f"{self.width} fields, numbers but for the label"
        return problem(self.path, what, expected=expected, got=some(found, 3) or error, help=help)

    def _is_plain(self, text: str) -> bool:
        """Say whether a line can be cut at its delimiters, and has as many as the others."""
        return '"' not in text and text.count(self.delimiter) == self.width - 1

    def _field(self, text: str, column: int) -> str:
        if not self._is_plain(text):
            return self._split(text)[column].strip()
        if column == self.width - 1:
            return text.rsplit(self.delimiter, 1)[-1].strip()
        return text.split(self.delimiter, column + 1)[column].strip()

    def _split(self, text: str) -> list[str]:
        fields = self._fields(text)
        if len(fields) != self.width:
            raise ValueError(f"{len(fields)} fields")
        return fields

    def _fields(self, text: str) -> list[str]:
        if '"' in text:
            import csv

            try:
                return next(csv.reader([text], delimiter=self.delimiter, skipinitialspace=True))
            except csv.Error as error:
                raise self._no_table(str(error)) from error
        return text.split(None if self.delimiter == " " else self.delimiter)

    def _lines(self) -> Generator[tuple[int, str]]:
        """Yield the number and text of each line that is not blank."""
        done = 0
        with content(self.path) as stream:
            for number in count(1):
                line = stream.readline(_LONGEST + 1)
                done += len(line)
                check_unpacked(self.path, done)
                if not line:
                    return
                text = self._text(line, number)
                if text.strip():
                    yield number, " ".join(text.split()) if self.delimiter == " " else text

    def _text(self, line: bytes, number: int) -> str:
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            text = "\0"
        if len(line) > _LONGEST or "\0" in text:
            got = f"line {number} is no UTF-8" if "\0" in text else f"line {number} has no end"
            raise self._no_table(got)
        return text

    def _no_table(self, got: str) -> DataError:
        what = f"{self.path.name} is not a table of text"
        expected, help = "lines of comma-separated values", "save it as CSV, in UTF-8"
        return problem(self.path, what, expected=expected, got=got, help=help)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _not_numbers(field: str, packed: int) -> list[str]:
    return [one for one in (field.split() if packed else [field]) if not _is_number(one)]


def are_classes(values: list[str]) -> bool:
    """Say whether a column holds words, or whole numbers from 0 or 1 that leave none out."""
    try:
        found = sorted({float(value) for value in values})
    except ValueError:
        return True
    return len(found) > 1 and found[0] in (0, 1) and found[-1] - found[0] == len(found) - 1


def _are_names(top: list[str], below: list[str]) -> bool:
    """Say whether a line has the names of the columns that the next one begins."""
    if any(name.lower() in LABELS for name in top):
        return True
    counted = [str(number) for number in range(len(top))]
    if len(top) > 2 and top[1:] in (counted[1:], counted[:-1]):  # as tables without names get them
        return True
    pairs = zip(top, below, strict=False)
    return any(_is_number(field) and not _is_number(name) for name, field in pairs)


class Csv(OwnArrays):
    """A table of text with an image a line: its pixels, row by row, and its label.

    Names of the columns, quotes, and the delimiter (comma, semicolon, tab, blanks) are recognised.
    The pixels have a column each, or one for all, with blanks between them. A column of train, test
    and val says which split each image is of.
    """

    type: Literal["csv"] = "csv"

    path: PathText
    """The file, plain or gzipped; relative to the spec's folder."""
    test_path: PathText | None = None
    """File of the test images; without it, `test` says which share to take."""
    validation_path: PathText | None = None
    """File of the validation images, where there is one."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the images taken for test, stratified by class, where there is no test_path."""
    label: Column | None = None
    """Column of the labels, by name or by number from 0, -1 for the last; without it the one that
    is called label, class, target, category or y, or else the first or last that looks like it."""
    ignore: list[Column] = Field(default_factory=nothing)
    """Columns that are neither label nor pixels."""
    size: PairOrNone = default(None)
    """Height and width of the images; without it they are square."""

    def info(self, paths: DataPaths) -> DatasetInfo | None:
        """Read the first lines and, where no classes are named, the labels."""
        path = paths.spec_dir / self.path
        if not exists(path):
            return None
        table = Table(path)
        label, columns = self.columns(table)
        labels = None if self.classes else self._labels(table, label)
        pixels = table.packed(columns) or len(columns)
        return self.describe((1, *self._shape(pixels, path)), labels, path)

    def load(self, paths: DataPaths) -> Data:
        named = {"train": self.path, "test": self.test_path, "validation": self.validation_path}
        parts = {}
        for part, name in named.items():
            if name is not None:
                parts[part] = self._read(Table(paths.spec_dir / name), paths.say)
        parted = Table(paths.spec_dir / self.path).splits()
        if parted and len(parts) == 1:
            (x, x_where), (y, y_where) = parts["train"]
            for split in sorted(set(parted[1])):
                rows = np.array(parted[1]) == split
                parts[split] = Part(x[rows], x_where), Part(y[rows], y_where)
        return self.arrange(parts, paths.say)

    def _read(self, table: Table, say: Callable[[str], None]) -> tuple[Part, Part]:
        label, columns = self.columns(table)
        shape = self._shape(table.packed(columns) or len(columns), table.path)
        values = table.numbers(columns)
        if ((values == np.floor(values)) & (values >= 0) & (values <= 255)).all():
            values = values.astype(np.uint8)
        parted, used = table.splits(), {label, *columns}
        left = [c for c in range(table.width) if c not in used | {parted[0] if parted else label}]
        passed = f"; not used: {', '.join(map(table.called, left))}" if left else ""
        sizes = "x".join(map(str, shape))
        what = f"labels in {table.called(label)}"
        what += f", splits in {table.called(parted[0])}" if parted else ""
        say(f"note: {table.path.name}: {what}, images of {sizes}{passed}")
        return Part(values.reshape(-1, *shape), table.path), self._labels(table, label)

    def columns(self, table: Table) -> tuple[int, list[int]]:
        """Return the column of labels, and those of pixels."""
        aside = {table.column(one) for one in self.ignore}
        aside |= {c for c, name in enumerate(table.names) if name.strip().lower() in _INDICES}
        aside |= {parted[0]} if (parted := table.splits()) else set()
        others = [c for c in range(table.width) if c not in aside] or [0]
        label = table.named(LABELS) if self.label is None else table.column(self.label)
        if label is None:  # nobody says which: one that looks like labels, the first or the last
            label = others[0]
            with suppress(DataError):  # lines that are wrong are named when they are all read
                ends = [c for c in (others[0], others[-1]) if are_classes(table.values(c))]
                label = (ends or others)[0]
        pixels = [c for c in others if c != label]
        packed = [c for c in pixels if table.packed([c])]
        return label, packed[:1] or pixels

    def _shape(self, pixels: int, path: Path) -> Shape:
        """Return the shape of an image that has so many pixels, as the columns have it."""
        side = isqrt(pixels // (1 if isqrt(pixels) ** 2 == pixels else 3))
        height, width = self.size or (side, side)
        channels = pixels // max(1, height * width)
        if channels not in (1, 3) or channels * height * width != pixels:
            what = f"{pixels} columns of pixels make no image"
            got = f"size = [{height}, {width}]" if self.size else "no size, and no square"
            help = "write size = [height, width] in [data]; columns that are no pixels go into "
            help += "ignore, and label says which has the labels"
            raise problem(
                path, what, expected="height x width, or 3 times that", got=got, help=help
            )
        if channels == 1 and self.layout != "hwcn":
            return height, width
        if self.layout in ("auto", "hwcn"):
            what = f"the {pixels} columns of pixels may have their channels first or last"
            help = 'write layout = "hwc" or layout = "chw" in [data]'
            raise problem(path, what, help=help)
        return (3, height, width) if self.layout == "chw" else (height, width, 3)

    def _labels(self, table: Table, column: int) -> Part:
        words, where = table.values(column), f"{table.path} ({table.called(column)})"
        blank = [
            str(number) for (number, _), word in zip(table.rows(), words, strict=True) if not word
        ]
        if table.names and table.names[column] in words and not _is_number(table.names[column]):
            what = f"line {list(table.rows())[words.index(table.names[column])][0]}"
            help = "take it out"
            raise problem(where, f"{what} has the names of the columns again", help=help)
        if blank:
            what, help = "an image has no label", "write its class there, or take the line out"
            raise problem(where, what, got=f"line {some(blank, 3)}", help=help)
        try:
            return Part(np.array(words, np.float64), where)
        except ValueError:
            return Part(np.array(words), where)
