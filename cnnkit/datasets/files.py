"""Open files from anywhere, and turn whatever is wrong with them into a data error."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np

from cnnkit.arrays import Array
from cnnkit.errors import DataError, DataUnavailable

ANEW = "get the file anew from where it came"


def problem(
    where: Path | str,
    what: str,
    *,
    expected: str = "",
    got: str = "",
    help: str = "",
    kind: type[DataError] = DataError,
) -> DataError:
    """Return a DataError about the file (or array in a file) `where`.

    >>> print(problem("a.gz", "a.gz is empty", expected="an IDX file", help="download it again"))
    a.gz is empty
      --> a.gz
       = expected: an IDX file
       = help: download it again
    """
    details = {"expected": expected, "got": got, "help": help}
    notes = [f"   = {name}: {text}" for name, text in details.items() if text]
    text = "\n".join([what, f"  --> {where}", *notes])
    return kind(text.encode(errors="backslashreplace").decode())  # file names may be any bytes


_CHUNK = 1 << 20
_SMALL = 1 << 24  # declared bytes that need no excuse
_RATIO = 500  # times that gzip may expand; photographs reach 2, black paper 1030


@contextmanager
def content(path: Path) -> Iterator[BinaryIO]:
    """Yield the file's bytes, unpacked where they are gzip.

    Raises:
        DataUnavailable: where there is no such file.
        DataError: where it cannot be read, then or while the block reads on.
    """
    import gzip  # with zlib, here: no dataset is read to check a spec
    import zlib

    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block, a device never end
            raise problem(path, f"{path.name} is not a file", expected="a regular file")
        with path.open("rb") as raw:
            if raw.peek(2)[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield raw
    except FileNotFoundError as error:
        raise problem(path, f"there is no file {path.name}", kind=DataUnavailable) from error
    except EOFError as error:
        what = f"{path.name} is cut short: its gzip stream has no end"
        raise problem(path, what, got=f"{path.stat().st_size} bytes", help=ANEW) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        what = f"{path.name} is damaged: its gzip stream is broken"
        raise problem(path, what, got=str(error), help=ANEW) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise problem(path, f"cannot read {path.name}: {reason}") from error


def some(names: Collection[str], most: int = 10) -> str:
    """Return the first names, and how many more there are.

    >>> some("abcde", most=3)
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(list(names)[:most]) + more


def check_unpacked(path: Path, size: int) -> None:
    """Refuse a file that unpacks to more than anything of its size does.

    Raises:
        DataError: where `size`, the bytes so far, is too much.
    """
    limit = max(_SMALL, _RATIO * path.stat().st_size)
    if size > limit:
        raise problem(path, f"{path.name} unpacks to more than {limit} bytes", help=ANEW)


def check_room(path: Path, size: int, declared: str, packed: bool) -> None:
    """Refuse a file whose header declares more bytes than it can hold, before they are allocated.

    Raises:
        DataError: naming what is `declared`.
    """
    there = path.stat().st_size
    limit = max(_SMALL, _RATIO * there) if packed else there
    if size > limit:
        what = f"{path.name} declares more than it can hold"
        expected = f"at most {limit} bytes in a file of {there} bytes"
        raise problem(path, what, expected=expected, got=declared, help=ANEW)


def read_up_to(size: int, stream: IO[bytes]) -> Array:
    """Return the next `size` bytes, fewer where the stream ends before."""
    buffer, done = np.empty(size, np.uint8), 0
    while done < size:  # in chunks, because gzip would build one bytes object of the whole
        got = stream.readinto(buffer.data[done : done + _CHUNK])  # type: ignore[attr-defined]
        if not got:
            break
        done += got
    return buffer[:done]


def exists(path: Path) -> bool:
    """Say whether the path leads somewhere.

    Raises:
        DataError: where it cannot be told, for want of permission for instance.
    """
    try:
        return path.exists()
    except OSError as error:
        raise problem(path, f"cannot look for {path.name}: {error.strerror}") from error


def digest(path: Path) -> str:
    """Return the sha256 of the file's bytes as they lie there, in hex."""
    try:
        with path.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise problem(path, f"cannot read {path.name}: {error.strerror}") from error
