"""Idx: your own data in the format of MNIST."""

import struct
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from cnnkit.arrays import Shape
from cnnkit.base import Data, DataPaths, DatasetInfo
from cnnkit.base.component import PathText
from cnnkit.datasets.arrays import OwnArrays
from cnnkit.datasets.files import ANEW, check_room, content, exists, problem, read_up_to
from cnnkit.datasets.labels import Part
from cnnkit.errors import DataError

Role = Literal["images", "labels"]

_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_RANKS = {"images": (3, 4), "labels": (1,)}


def read_idx(path: Path, role: Role) -> Part:
    """Return the file's array: images (N, H, W) or of four axes, or labels (N,).

    Nothing is allocated before the declared size is found credible, and no more is unpacked than
    the declared size and one byte.

    Raises:
        DataError: naming the file, what was expected, and what it holds.
    """
    with content(path) as stream:
        return parse_idx(stream, path, role)


def parse_idx(stream: BinaryIO, path: Path, role: Role) -> Part:
    """Return the array of a stream, which may lie packed in the file."""
    shape, dtype, size = _header(stream, path, role)
    declared = _declared(shape, size)
    data = read_up_to(size, stream)
    if len(data) < size:
        what, got = f"{path.name} is cut short", f"{len(data)} bytes"
        raise problem(path, what, expected=declared, got=got, help=ANEW)
    if stream.read(1):  # reading to the end is also what makes gzip compare its checksum
        what = f"{path.name} goes on behind its end"
        raise problem(path, what, expected=declared, got="more", help=ANEW)
    return Part(data.view(dtype).reshape(shape), path)


def _header(stream: BinaryIO, path: Path, role: Role) -> tuple[Shape, np.dtype[Any], int]:
    """Return shape, dtype and the bytes that come, as many as a file of that size can hold."""
    magic = stream.read(4)
    if len(magic) < 4:
        size = path.stat().st_size
        what = f"{path.name} is empty" if size == 0 else f"{path.name} is cut short"
        raise problem(path, what, expected="an IDX file", got=f"{size} bytes", help=ANEW)
    if magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        page = magic.lstrip()[:1] == b"<"
        what = f"{path.name} is {'a web page, not data' if page else 'not an IDX file'}"
        expected = "first bytes 00 00 08 03 (images) or 00 00 08 01 (labels), gzipped or plain"
        got = f"first bytes {magic.hex(' ')}"
        raise problem(path, what, expected=expected, got=got, help=ANEW)
    rank = magic[3]
    if rank not in _RANKS[role]:
        raise _wrong_role(path, role, magic)
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        what = f"{path.name} is cut short inside its header"
        expected, got = f"{4 + 4 * rank} bytes of header", f"{4 + len(sizes)} bytes"
        raise problem(path, what, expected=expected, got=got, help=ANEW)
    shape, dtype = struct.unpack(f">{rank}I", sizes), np.dtype(_DTYPES[magic[2]])
    size = prod(shape) * dtype.itemsize
    check_room(path, size, _declared(shape, size), packed=not isinstance(stream, BufferedReader))
    return shape, dtype, size


def _declared(shape: Shape, size: int) -> str:
    return f"{size} bytes, {' x '.join(map(str, shape))} values"


def _wrong_role(path: Path, role: Role, magic: bytes) -> DataError:
    other = "labels" if role == "images" else "images"
    axes = {"images": "3 or 4 axes (magic 00 00 08 03)", "labels": "1 axis (magic 00 00 08 01)"}
    what, help = f"{path.name} does not hold {role}", ANEW
    if magic[3] in _RANKS[other]:
        what = f"{path.name} holds {other}, not {role}"
        help = "images and labels seem to be swapped; exchange the two files"
    return problem(path, what, expected=axes[role], got=f"magic {magic.hex(' ')}", help=help)


class Idx(OwnArrays):
    """IDX files, gzipped or plain.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W), labels (N,).
    """

    type: Literal["idx"] = "idx"

    train_images: PathText
    """File of the training images; relative to the spec's folder, like the others."""
    train_labels: PathText
    """File of the training labels."""
    test_images: PathText | None = None
    """File of the test images; without it, `test` says which share to take."""
    test_labels: PathText | None = None
    """File of the test labels."""
    validation_images: PathText | None = None
    """File of the validation images, where there is one."""
    validation_labels: PathText | None = None
    """File of the validation labels."""

    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the training images taken for test, stratified by class, without test files."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for part in ("test", "validation"):
            pair = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if pair.count(None) == 1:
                raise ValueError(f"{part}_images and {part}_labels go together")
        return self

    def info(self, paths: DataPaths) -> DatasetInfo | None:
        """Read the header of the images and, where no classes are named, the labels."""
        images, labels = paths.spec_dir / self.train_images, paths.spec_dir / self.train_labels
        if not (exists(images) and exists(labels)):
            return None
        with content(images) as stream:
            shape = _header(stream, images, "images")[0]
        read = None if self.classes else read_idx(labels, "labels")
        return self.describe(shape, read, images)

    def load(self, paths: DataPaths) -> Data:
        parts = {}
        for part in ("train", "test", "validation"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if images:
                folder = paths.spec_dir
                read = read_idx(folder / images, "images"), read_idx(folder / labels, "labels")
                parts[part] = read
        return self.arrange(parts, paths.say)
