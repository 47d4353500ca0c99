"""Idx: your own data in the format of MNIST."""

from __future__ import annotations

import gzip
import struct
from math import prod
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from cnnkit.arrays import Array, Shape
from cnnkit.base import Data, DataPaths, Dataset, DatasetInfo
from cnnkit.datasets.arrays import (
    ClassNames,
    Layout,
    PathText,
    Source,
    assemble,
    class_names,
    nchw_shape,
    to_labels,
)
from cnnkit.datasets.files import ANEW, content, exists, fill, problem, room

Role = Literal["images", "labels"]

_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_RANKS = {"images": (3, 4), "labels": (1,)}


def read_idx(path: Path, role: Role) -> Array:
    """Return the file's array: images (N, H, W) or of four axes, or labels (N,).

    Nothing is allocated before the declared size is found credible, and no more is unpacked than
    the declared size and one byte.

    Raises:
        DataError: naming the file, what was expected, and what it holds.
    """
    with content(path) as stream:
        shape, dtype = _header(stream, path, role)
        return _body(stream, path, shape, dtype)


def idx_shape(path: Path, role: Role) -> Shape:
    """Return the shape that the file declares, reading its header only."""
    with content(path) as stream:
        return _header(stream, path, role)[0]


def _header(stream: BinaryIO, path: Path, role: Role) -> tuple[Shape, np.dtype[np.generic]]:
    magic = stream.read(4)
    if len(magic) < 4:
        size = path.stat().st_size
        what = f"{path.name} is empty" if size == 0 else f"{path.name} is cut short"
        raise problem(path, what, expected="an IDX file", got=f"{size} bytes", help=ANEW)
    if magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise _not_idx(path, magic)
    rank = magic[3]
    if rank not in _RANKS[role]:
        raise _wrong_role(path, role, magic)
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise problem(
            path,
            f"{path.name} is cut short inside its header",
            expected=f"{4 + 4 * rank} bytes of header",
            got=f"{4 + len(sizes)} bytes",
            help=ANEW,
        )
    return struct.unpack(f">{rank}I", sizes), np.dtype(_DTYPES[magic[2]])


def _not_idx(path: Path, magic: bytes) -> Exception:
    page = magic.lstrip()[:1] == b"<"
    return problem(
        path,
        f"{path.name} is {'a web page, not data' if page else 'not an IDX file'}",
        expected="first bytes 00 00 08 03 (images) or 00 00 08 01 (labels), gzipped or plain",
        got=f"first bytes {magic.hex(' ')}",
        help=ANEW,
    )


def _wrong_role(path: Path, role: Role, magic: bytes) -> Exception:
    swapped = magic[3] in _RANKS["labels" if role == "images" else "images"]
    other = "labels" if role == "images" else "images"
    axes = {"images": "3 or 4 axes (magic 00 00 08 03)", "labels": "1 axis (magic 00 00 08 01)"}
    return problem(
        path,
        f"{path.name} holds {other}, not {role}"
        if swapped
        else f"{path.name} does not hold {role}",
        expected=axes[role],
        got=f"magic {magic.hex(' ')}",
        help="images and labels seem to be swapped; exchange the two files" if swapped else ANEW,
    )


def _body(stream: BinaryIO, path: Path, shape: Shape, dtype: np.dtype[np.generic]) -> Array:
    size = prod(shape) * dtype.itemsize
    declared = f"{size} bytes, {' x '.join(map(str, shape))} values"
    limit = room(path, packed=isinstance(stream, gzip.GzipFile))
    if size > limit:
        raise problem(
            path,
            f"{path.name} declares more than it can hold",
            expected=f"at most {limit} bytes in a file of {path.stat().st_size} bytes",
            got=declared,
            help=ANEW,
        )
    buffer = np.empty(size, np.uint8)
    done = fill(stream, buffer)
    if done < size:
        raise problem(
            path, f"{path.name} is cut short", expected=declared, got=f"{done} bytes", help=ANEW
        )
    if stream.read(1):  # reading to the end is also what makes gzip compare its checksum
        raise problem(
            path, f"{path.name} goes on behind its end", expected=declared, got="more", help=ANEW
        )
    return buffer.view(dtype).reshape(shape)


class Idx(Dataset):
    """Any four IDX files, gzipped or plain.

    Images are (N, H, W), (N, H, W, C) or (N, C, H, W), labels (N,).
    """

    type: Literal["idx"] = "idx"

    train_images: PathText
    """File of the training images; relative to the spec's folder, like the other three."""
    train_labels: PathText
    """File of the training labels."""
    test_images: PathText
    """File of the test images."""
    test_labels: PathText
    """File of the test labels."""
    classes: ClassNames | None = None
    """Names of the classes; without them, the training labels must use 0, 1, 2, ... all."""
    layout: Layout = "auto"
    """Where channels sit, "chw" or "hwc"; "auto" looks for the axis that has 1 or 3 of them."""

    def info(self, paths: DataPaths) -> DatasetInfo | None:
        """Read the header of the images and, where no classes are named, the labels."""
        images = paths.spec_dir / self.train_images
        labels = paths.spec_dir / self.train_labels
        if not (exists(images) and exists(labels)):
            return None
        shape = nchw_shape(idx_shape(images, "images"), images, self.layout)[1:]
        names = self.classes or class_names(
            to_labels(read_idx(labels, "labels"), labels), labels, None
        )
        return DatasetInfo(shape, len(names))

    def load(self, paths: DataPaths) -> Data:
        def read(name: str, role: Role) -> Source:
            path: Path = paths.spec_dir / name
            return Source(read_idx(path, role), path)

        return assemble(
            self,
            (read(self.train_images, "images"), read(self.train_labels, "labels")),
            (read(self.test_images, "images"), read(self.test_labels, "labels")),
            self.classes,
            self.layout,
        )
