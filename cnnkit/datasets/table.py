"""Tables: text files with an image and its label a line, or the name of a picture and its label."""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from itertools import count
from math import isqrt
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import numpy as np
from pydantic import Field

from cnnkit.arrays import Array, Shape
from cnnkit.base import Data, DataPaths, DatasetInfo, PairOrNone, default
from cnnkit.base.component import PathText, nothing
from cnnkit.datasets.arrays import OwnArrays
from cnnkit.datasets.files import check_unpacked, content, exists, problem, some
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
        self.path = path
        with self._lines() as lines:
            first, second = next(lines, None), next(lines, None)
        if first is None:
            raise problem(path, f"{path.name} is empty", expected="a line for each image")
        self.delimiter = max(",;\t", key=first[1].count)
        top = self._fields(first[1])
        below = self._fields(second[1]) if second else top
        self.names = top if _are_names(top, below) else []
        self.width, self._top = len(below), top

    def rows(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the text of each line below the names."""
        with self._lines() as lines:
            for _ in self.names[:1]:
                next(lines)
            yield from lines

    def take_names(self, values: Container[str]) -> None:
        """Take the first line for names where none of its fields is one of the `values`."""
        if not any(field.strip() in values for field in self._top):
            self.names = self._top

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
        return f"column {self.names[column] if self.names else column + 1}"

    def values(self, column: int) -> list[str]:
        """Return the fields of one column.

        Raises:
            DataError: naming the lines that have fewer or more fields than the others.
        """
        try:
            return [self._field(text, column) for _, text in self.rows()]
        except ValueError as error:
            raise self._wrong([], str(error)) from error

    def numbers(self, columns: list[int]) -> Array:
        """Return the fields of some columns as float32, (lines, columns).

        Raises:
            DataError: naming the lines that are wrong.
        """
        delimiter = self.delimiter

        start = self.width - len(columns)
        is_tail = columns == list(range(start, self.width))

        def picked() -> Iterator[str]:
            for _, text in self.rows():
                if is_tail and self._is_plain(text):
                    yield text.split(delimiter, start)[-1]
                else:
                    fields = self._split(text)
                    yield delimiter.join(fields[column] for column in columns)

        try:
            return np.loadtxt(picked(), np.float32, delimiter=delimiter, comments=None, ndmin=2)
        except ValueError as error:
            raise self._wrong(columns, str(error)) from error

    def _wrong(self, columns: list[int], error: str) -> DataError:
        """Look for the lines that cannot be read, now that there are some."""
        found = []
        for number, text in self.rows():
            fields = self._fields(text)
            bad = next((c for c in columns if c < len(fields) and not _is_number(fields[c])), None)
            if len(fields) != self.width:
                found.append(f"line {number} has {len(fields)} fields")
            elif bad is not None:
                field = repr(fields[bad][:20]) if fields[bad].strip() else "nothing"
                found.append(f"line {number} has {field} in {self.called(bad)}")
        are = f"{len(found)} lines of {self.path.name} are" if len(found) != 1 else (
            f"a line of {self.path.name} is"
        )  # fmt: skip
        what, help = f"{are} no image with a label", "mend the lines, or take them out"
        expected = f"{self.width} fields, numbers but for the label"
        return problem(self.path, what, expected=expected, got=some(found) or error, help=help)

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

            return next(csv.reader([text], delimiter=self.delimiter, skipinitialspace=True))
        return text.split(self.delimiter)

    @contextmanager
    def _lines(self) -> Iterator[Iterator[tuple[int, str]]]:
        """Yield the number and text of each line that is not blank."""
        with content(self.path) as stream:
            yield self._decoded(stream)

    def _decoded(self, stream: BinaryIO) -> Iterator[tuple[int, str]]:
        done = 0
        for number in count(1):
            line = stream.readline(_LONGEST + 1)
            done += len(line)
            check_unpacked(self.path, done)
            if not line:
                return
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                text = "\0"
            if len(line) > _LONGEST or "\0" in text:
                what = f"{self.path.name} is not a table of text"
                got = f"line {number} is no UTF-8" if "\0" in text else f"line {number} has no end"
                raise problem(self.path, what, expected="lines of comma-separated values", got=got)
            if text.strip():
                yield number, text.rstrip("\r\n")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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

    Names of the columns, quotes, and the delimiter (comma, semicolon or tab) are recognised.
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
    is called label, class, target, category or y, or else the first."""
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
        label, pixels = self.columns(table)
        labels = None if self.classes else self._labels(table, label)
        return self.describe((1, *self._shape(len(pixels), path)), labels, path)

    def load(self, paths: DataPaths) -> Data:
        named = {"train": self.path, "test": self.test_path, "validation": self.validation_path}
        parts = {}
        for part, name in named.items():
            if name is not None:
                parts[part] = self._read(Table(paths.spec_dir / name), paths.say)
        return self.arrange(parts, paths.say)

    def _read(self, table: Table, say: Callable[[str], None]) -> tuple[Part, Part]:
        label, columns = self.columns(table)
        shape = self._shape(len(columns), table.path)
        values = table.numbers(columns)
        if ((values == np.floor(values)) & (values >= 0) & (values <= 255)).all():
            values = values.astype(np.uint8)
        left = [c for c in range(table.width) if c != label and c not in columns]
        passed = f"; not used: {', '.join(map(table.called, left))}" if left else ""
        sizes = "x".join(map(str, shape))
        say(f"note: {table.path.name}: labels in {table.called(label)}, images of {sizes}{passed}")
        return Part(values.reshape(-1, *shape), table.path), self._labels(table, label)

    def columns(self, table: Table) -> tuple[int, list[int]]:
        """Return the column of labels, and those of pixels."""
        aside = {table.column(one) for one in self.ignore}
        aside |= {c for c, name in enumerate(table.names) if name.strip().lower() in _INDICES}
        first = next((c for c in range(table.width) if c not in aside), 0)
        found = table.named(LABELS) if self.label is None else table.column(self.label)
        label = first if found is None else found
        return label, [c for c in range(table.width) if c != label and c not in aside]

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
        try:
            return Part(np.array(words, np.float64), where)
        except ValueError:
            return Part(np.array(words), where)
