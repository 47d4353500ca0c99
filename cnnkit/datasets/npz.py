"""Npz: your own data in NumPy's format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, Literal
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy

from cnnkit.arrays import Shape
from cnnkit.base import Data, DataPaths, Dataset, DatasetInfo
from cnnkit.base.component import PathText
from cnnkit.datasets.arrays import (
    ClassNames,
    Layout,
    Part,
    assemble,
    class_names,
    nchw_shape,
    to_labels,
)
from cnnkit.datasets.files import ANEW, check_room, content, exists, problem, read_up_to
from cnnkit.errors import DataError

Header = tuple[Shape, bool, np.dtype[Any]]
"""Shape, whether the order is Fortran's, dtype."""


def read_npz(path: Path, name: str) -> Part:
    """Return the array `name` of the file.

    Raises:
        DataError: naming the file, what was expected, and what it holds.
    """
    with _member(path, name) as (stream, (shape, fortran, dtype), size):
        data = read_up_to(size, stream)
        if len(data) < size:  # zipfile has compared the checksum of what came, not its size
            raise _other_size(path, name, f"{size} bytes", f"{len(data)} bytes")
        array = data.view(dtype).reshape(shape, order="F" if fortran else "C")
        return Part(array, f"{path} ({name})")


@contextmanager
def _member(path: Path, name: str) -> Iterator[tuple[IO[bytes], Header, int]]:
    """Yield the stream of one array, behind its header, with the header and the bytes to come."""
    with content(path) as raw:
        try:
            with ZipFile(raw) as archive:
                info = _find(archive, path, name)
                with archive.open(info) as stream:
                    old = npy.read_magic(stream) == (1, 0)
                    read = npy.read_array_header_1_0 if old else npy.read_array_header_2_0
                    header = read(stream)
                    yield stream, header, _size(header, info.file_size - stream.tell(), path, name)
        except DataError:
            raise
        except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damaged bytes
            what = f"{path.name} is not an npz file, or is damaged"
            expected = f"what numpy.savez writes, with an array {name}"
            got = f"{type(error).__name__}: {error}"
            raise problem(path, what, expected=expected, got=got, help=ANEW) from error


def _find(archive: ZipFile, path: Path, name: str) -> ZipInfo:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if name not in members:
        what, got = f"there is no array {name} in {path.name}", ", ".join(members) or "no arrays"
        help = "name the arrays with train_images, train_labels, test_images and test_labels"
        raise problem(path, what, got=got, help=help)
    info = members[name]
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        # zipfile unpacks the other kinds without a bound
        raise problem(path, f"{path.name} is packed in a way that numpy.savez does not use")
    packed = info.compress_type == ZIP_DEFLATED
    check_room(path, info.file_size, f"{info.file_size} bytes for array {name}", packed)
    return info


def _size(header: Header, available: int, path: Path, name: str) -> int:
    """Return the bytes the header declares, which must be the bytes that are there."""
    shape, _, dtype = header
    if dtype.hasobject:
        what = f"array {name} in {path.name} holds Python objects, which cnnkit never unpickles"
        help = "save it as a plain array, for instance with numpy.stack"
        raise problem(path, what, expected="numbers", got=f"dtype {dtype}", help=help)
    size = prod(shape) * dtype.itemsize
    if size != available:
        expected = f"{size} bytes for shape {shape} of {dtype}"
        raise _other_size(path, name, expected, f"{available} bytes")
    return size


def _other_size(path: Path, name: str, expected: str, got: str) -> DataError:
    what = f"array {name} in {path.name} does not have the size it declares"
    return problem(path, what, expected=expected, got=got, help=ANEW)


class Npz(Dataset):
    """Four arrays in one npz file, as `numpy.savez` and `numpy.savez_compressed` write it.

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
    classes: ClassNames | None = None
    """Names of the classes; without them, the training labels must use 0, 1, 2, ... all."""
    layout: Layout = "auto"
    """Where channels sit, "chw" or "hwc"; "auto" looks for the axis that has 1 or 3 of them."""

    def info(self, paths: DataPaths) -> DatasetInfo | None:
        """Read the header of the images and, where no classes are named, the labels."""
        path = paths.spec_dir / self.path
        if not exists(path):
            return None
        with _member(path, self.train_images) as (_, (shape, _, _), _):
            shape = nchw_shape(shape, f"{path} ({self.train_images})", self.layout)
        if self.classes:
            return DatasetInfo(shape[1:], len(self.classes))
        labels = read_npz(path, self.train_labels)
        return DatasetInfo(shape[1:], len(class_names(to_labels(*labels), labels.where)))

    def load(self, paths: DataPaths) -> Data:
        path = paths.spec_dir / self.path
        names = self.train_images, self.train_labels, self.test_images, self.test_labels
        images, labels, *test = (read_npz(path, name) for name in names)
        return assemble(self, (images, labels), (test[0], test[1]), self.classes, self.layout)
