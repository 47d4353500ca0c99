"""Durable writing: a write is on disk, whole and read back, or it raises."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path

from cnnkit.errors import RunError

_FULL = "; free some space, or choose a folder on another disk"
_LIMIT = "; raise the file size limit (ulimit -f), or choose another folder"
_DENIED = "; choose a folder you may write to"
_HELP = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EFBIG: _LIMIT,
         errno.EACCES: _DENIED, errno.EPERM: _DENIED, errno.EROFS: _DENIED}  # fmt: skip

_STALE = 3600  # seconds; no write takes as long


def write_durably(path: Path, data: bytes) -> None:
    """Put `data` at `path` and return once it would survive a power cut.

    The old file stays as it is until the new one is on disk, complete and read back. What killed
    processes have left in the folder goes once it is stale.

    Raises:
        RunError: naming the file, the bytes needed and the system's reason.
    """
    temp = path.parent / f".{secrets.token_hex(4)}.tmp"  # same folder: a rename stays atomic
    try:
        try:
            _write_new(temp, data)
            temp.replace(path)
        except BaseException:  # Ctrl-C too: leave nothing behind
            with suppress(OSError):  # what ended the write is what is told
                temp.unlink()
            raise
        _remove_leftovers(path.parent)
        _sync_folder(path.parent)
    except OSError as error:
        raise _cannot("write", path, error, f" ({len(data)} bytes)") from error


def append_line(path: Path, text: str) -> None:
    """Append one line durably; a line that does not fit is taken back whole.

    Raises:
        RunError: naming the file, the bytes needed and the system's reason.
    """
    data = f"{text}\n".encode(errors="backslashreplace")
    try:
        new = not path.exists()
        with path.open("ab", buffering=0) as file:
            _append(file, data)
        if new:
            _sync_folder(path.parent)
    except OSError as error:
        raise _cannot("append to", path, error, f" ({len(data)} bytes)") from error


def make_folder(path: Path) -> None:
    """Create `path`, and the folders above it that are missing, durably; it may exist already.

    Raises:
        RunError: naming the folder and the system's reason.
    """
    try:
        for folder in [*reversed(path.parents), path]:
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                _sync_folder(folder.parent)
    except OSError as error:
        raise _cannot("create folder", path, error) from error


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        RunError: naming the file and the system's reason.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block, /dev/zero never ends
            raise RunError(f"cannot read {path}: not a regular file")
        return path.read_bytes()
    except OSError as error:
        raise _cannot("read", path, error) from error


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:  # "x" follows no link, and the mode is the umask's
        file.write(data)
        file.flush()
        _sync(file.fileno())
    if path.read_bytes() != data:
        raise OSError(errno.EIO, "the bytes read back differ from those written")


def _remove_leftovers(folder: Path) -> None:
    for file in folder.glob(".????????.tmp"):
        with suppress(OSError):  # gone already, or not ours to remove
            if time.time() - file.stat().st_mtime > _STALE:
                file.unlink()


def _append(file: FileIO, data: bytes) -> None:
    start = file.seek(0, os.SEEK_END)
    try:
        rest = memoryview(data)
        while rest:  # a raw write may take a part only
            rest = rest[file.write(rest) :]
        _sync(file.fileno())
    except OSError:
        with suppress(OSError):
            file.truncate(start)
        raise


def _sync(handle: int) -> None:
    """Return once the drive itself has what was written; on macOS, fsync alone does not do it."""
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
        except OSError as error:  # not every file system can: what fsync promises has to do
            if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
    os.fsync(handle)


def _sync_folder(path: Path) -> None:
    """Make renames and new names in `path` durable."""
    if sys.platform == "win32":  # it opens no folders, and keeps a journal of names
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _sync(handle)
    finally:
        os.close(handle)


def _cannot(verb: str, path: Path, error: OSError, size: str = "") -> RunError:
    reason = error.strerror or str(error)
    return RunError(f"cannot {verb} {path}{size}: {reason}{_HELP.get(error.errno or 0, '')}")
