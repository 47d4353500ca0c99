"""Npz: your own data in NumPy's format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal, cast

import numpy as np
from numpy.lib import format as npy

from cnnkit.arrays import Array, Shape
from cnnkit.base import Data, DataPaths, DatasetInfo
from cnnkit.base.component import PathText
from cnnkit.datasets.arrays import OwnArrays
from cnnkit.datasets.files import ANEW, check_room, content, exists, problem, read_up_to, some
from cnnkit.datasets.labels import Part
from cnnkit.errors import DataError

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

Header = tuple[Shape, bool, np.dtype[Any]]
"""Shape, whether the order is Fortran's, dtype."""
_SAVE = 'its arrays with numpy.savez("data.npz", x_train=..., y_train=..., x_test=..., y_test=...)'
_TOGETHER = "arrays of several files go into one with numpy.savez"
_KINDS = {
    b"\x93NUMPY": "one array (npy)", b"\x89HDF": "an HDF5 file", b"MATLAB": "a MATLAB file",
    b"\x80": "a pickle, which cnnkit never opens",
}  # fmt: skip
"""How other files begin in which people have arrays."""
_LONGEST = 1 << 18  # bytes of an archive's table of contents: about 4000 arrays


def read_npz(path: Path, name: str) -> Part:
    """Return the array `name` of the file.

    Raises:
        DataError: naming the file, what was expected, and what it holds.
    """
    with _member(path, name) as (stream, header):
        return Part(_values(stream, header, path, _named(path, name)), f"{path} ({name})")


def read_npy(path: Path) -> Part:
    """Return the array of a file that `numpy.save` wrote.

    Raises:
        DataError: naming the file, what was expected, and what it holds.
    """
    with content(path) as stream, _damage(path, "npy", "what numpy.save writes"):
        header = _header(stream)
        size = _size(header, path, path.name)
        check_room(path, size, f"{size} bytes", packed=not isinstance(stream, BufferedReader))
        array = _values(stream, header, path, path.name)
        if stream.read(1):
            raise _other_size(path, path.name, f"{size} bytes", "more")
        return Part(array, path)


def npz_names(path: Path, wanted: str = "") -> list[str]:
    """Return the names of the arrays in the file, of which `wanted` is looked for."""
    with _archive(path, f"an array {wanted}" if wanted else "arrays") as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def npz_shapes(path: Path) -> dict[str, Shape]:
    """Return the shape of each array in the file, by name."""
    found = {}
    for name in npz_names(path):
        with _member(path, name) as (_, header):
            found[name] = header[0]
    return found


@contextmanager
def _member(path: Path, name: str) -> Iterator[tuple[IO[bytes], Header]]:
    """Yield the stream of one array, behind its header, and the header."""
    with _archive(path, f"an array {name}") as archive:
        info, what = _find(archive, path, name), _named(path, name)
        with archive.open(info) as stream:
            header = _header(stream)
            size, available = _size(header, path, what), info.file_size - stream.tell()
            if size != available:
                expected = f"{size} bytes for shape {header[0]} of {header[2]}"
                raise _other_size(path, what, expected, f"{available} bytes")
            yield stream, header


class _Contents:
    """A file through which zipfile reads a table of contents, unless that is huge: an entry takes
    longer to read than a kilobyte of data."""

    def __init__(self, raw: BinaryIO) -> None:
        self.seek, self.tell, self._raw = raw.seek, raw.tell, raw

    def read(self, size: int = -1) -> bytes:
        if size > _LONGEST:
            raise ValueError(f"a table of contents of {size} bytes, more than {_LONGEST}")
        return self._raw.read(size)


@contextmanager
def _archive(path: Path, wanted: str) -> Iterator[ZipFile]:
    from zipfile import ZipFile

    with (
        content(path) as raw,
        _damage(path, "npz", f"what numpy.savez writes, with {wanted}"),
        ZipFile(cast(BinaryIO, _Contents(raw))) as archive,
    ):
        archive.fp = raw
        yield archive


@contextmanager
def _damage(path: Path, kind: str, expected: str) -> Iterator[None]:
    """Turn what zipfile, zlib and numpy raise on damaged bytes, a dozen types, into an error."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        what = f"{path.name} is not an {kind} file, or is damaged"
        got = f"{type(error).__name__}: {error}"
        raise problem(path, what, expected=expected, got=got, help=_other_kind(path)) from error


def _other_kind(path: Path) -> str:
    """Return what helps against a file that is of another kind, or damaged."""
    with path.open("rb") as file:
        top = file.read(8)
    kinds = (kind for start, kind in _KINDS.items() if top.startswith(start))
    kind = next(kinds, "")
    return f"this is {kind}: load it, and save {_SAVE}" if kind else ANEW


def _find(archive: ZipFile, path: Path, name: str) -> ZipInfo:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if name not in members:
        what, got = f"there is no array {name} in {path.name}", some(members) or "no arrays"
        help = "name the arrays with train_images, train_labels, test_images and test_labels; "
        help += f"where there are none for test, take a share: test = 0.2; {_TOGETHER}"
        raise problem(path, what, got=got, help=help)
    from zipfile import ZIP_DEFLATED, ZIP_STORED

    info = members[name]
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        # zipfile unpacks the other kinds without a bound
        raise problem(path, f"{path.name} is packed in a way that numpy.savez does not use")
    packed = info.compress_type == ZIP_DEFLATED
    check_room(path, info.file_size, f"{info.file_size} bytes for array {name}", packed)
    return info


def _header(stream: IO[bytes]) -> Header:
    old = npy.read_magic(stream) == (1, 0)
    return (npy.read_array_header_1_0 if old else npy.read_array_header_2_0)(stream)


def _size(header: Header, path: Path, what: str) -> int:
    """Return the bytes that the header declares."""
    shape, _, dtype = header
    if dtype.hasobject:
        what = f"{what} holds Python objects, which cnnkit never unpickles"
        help = "save it as a plain array: words with .astype(str), numbers with "
        help += ".astype(int), images of one size with numpy.stack"
        raise problem(path, what, expected="numbers", got=f"dtype {dtype}", help=help)
    return prod(shape) * dtype.itemsize


def _values(stream: IO[bytes], header: Header, path: Path, what: str) -> Array:
    """Read what stands behind the header."""
    (shape, fortran, dtype), size = header, _size(header, path, what)
    data = read_up_to(size, stream)
    if len(data) < size:  # zipfile has compared the checksum of what came, not its size
        raise _other_size(path, what, f"{size} bytes", f"{len(data)} bytes")
    return data.view(dtype).reshape(shape, order="F" if fortran else "C")


def _named(path: Path, name: str) -> str:
    return f"array {name} in {path.name}"


def _other_size(path: Path, what: str, expected: str, got: str) -> DataError:
    what = f"{what} does not have the size it declares"
    return problem(path, what, expected=expected, got=got, help=ANEW)


class Npz(OwnArrays):
    """Arrays in one npz file, as `numpy.savez` and `numpy.savez_compressed` write it.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W); labels (N,) or (N, 1).
    """

    type: Literal["npz"] = "npz"

    path: PathText
    """The file; relative to the spec's folder."""
    train_images: str = "x_train"
    """Name of the array of training images."""
    train_labels: str = "y_train"
    """Name of the array of training labels."""
    test_images: str = "x_test"
    """Name of the array of test images."""
    test_labels: str = "y_test"
    """Name of the array of test labels."""
    validation_images: str | None = None
    """Name of the array of validation images; without it x_val and y_val, where there are such."""
    validation_labels: str | None = None
    """Name of the array of validation labels."""

    def info(self, paths: DataPaths) -> DatasetInfo | None:
        """Read the header of the images and, where no classes are named, the labels."""
        path = paths.spec_dir / self.path
        if not exists(path):
            return None
        with _member(path, self.train_images) as (_, (shape, _, _)):
            where = f"{path} ({self.train_images})"
        labels = None if self.classes else read_npz(path, self.train_labels)
        return self.describe(shape, labels, where)

    def load(self, paths: DataPaths) -> Data:
        path = paths.spec_dir / self.path
        wanted = {"train": (self.train_images, self.train_labels)}
        if self.test is None:
            wanted["test"] = self.test_images, self.test_labels
        names = npz_names(path, self.train_images)
        images, labels = self.validation_images or "x_val", self.validation_labels or "y_val"
        if self.validation_images or images in names:
            wanted["validation"] = images, labels
        parts = {part: (read_npz(path, x), read_npz(path, y)) for part, (x, y) in wanted.items()}
        used = {name for pair in wanted.values() for name in pair}
        if unused := [name for name in names if name not in used]:
            paths.say(f"note: arrays in {path.name} that are not used: {some(unused)}")
        return self.arrange(parts, paths.say)
