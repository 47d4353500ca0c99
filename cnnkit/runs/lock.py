"""Lock: one writer in a run directory."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from cnnkit.errors import RunError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Lock:
    """Holds `folder/.lock` for this process; the file says who holds it.

    The kernel's lock on the open file decides, so it ends with its process, however that dies: a
    stale file, or a process id used again, misleads nobody.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            RunError: naming the holder, or the reason why there can be no lock file.
        """
        self._path = folder / ".lock"
        try:
            self._file = self._take()
        except BlockingIOError as error:
            raise RunError(
                f"run directory {folder} is in use by {self._holder()}; "
                "wait until it ends, or choose another --out"
            ) from error
        except OSError as error:
            raise RunError(f"cannot lock {self._path}: {error.strerror}") from error

    def release(self) -> None:
        """Give the lock back and remove the file; a second call does nothing.

        Raises:
            RunError: where the file cannot be removed; the lock is given back all the same.
        """
        if self._file.closed:
            return
        try:
            if sys.platform == "win32":  # where an open file cannot be removed
                self._file.close()
            self._path.unlink(missing_ok=True)  # while it is still ours
        except OSError as error:
            raise RunError(f"cannot remove {self._path}: {error.strerror}") from error
        finally:
            self._file.close()

    def _holder(self) -> str:
        """Return what the holder says of itself; it takes a moment to replace what others said."""
        for _ in range(20):
            try:
                text = self._path.read_text(errors="replace").strip()
            except FileNotFoundError:
                return "a process that is just ending"
            if text and not _is_of_the_dead(text):
                break
            time.sleep(0.025)
        return text or "another process"

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Tell if some process holds the lock of `folder`; a file that was left behind holds none.
        Where it cannot be told, one does."""
        try:
            with (folder / ".lock").open("rb", buffering=0) as file:
                _lock(file, shared=True)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def _take(self) -> FileIO:
        while True:
            file = self._path.open("a+b", buffering=0)
            try:
                _lock(file)
                if os.fstat(file.fileno()).st_nlink > 0:
                    now = datetime.now(UTC).isoformat(timespec="seconds")
                    holder = f"process {os.getpid()} on {socket.gethostname()} since {now}\n"
                    file.truncate(0)
                    file.write(holder.encode())
                    return file
            except BaseException:
                file.close()
                raise
            file.close()  # its holder removed it between our open and our lock: try anew


def _is_of_the_dead(text: str) -> bool:
    """Tell if what stands in a lock file was written by a process of this machine that is gone."""
    signed = re.match(r"process (\d+) on (\S+) ", text)
    if sys.platform == "win32" or not signed or signed[2] != socket.gethostname():
        return False
    try:
        os.kill(int(signed[1]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False


def _lock(file: FileIO, shared: bool = False) -> None:
    """Take the kernel's lock on an open file, or raise BlockingIOError; those who only look may
    share it."""
    if sys.platform == "win32":
        try:
            file.seek(2**30)  # nobody can read what is locked, and the text is for others to read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
    else:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
