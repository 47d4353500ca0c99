"""Lock: one writer per run directory."""

from __future__ import annotations

import fcntl
import os
import socket
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from cnnkit.errors import RunError


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
            self._path.unlink(missing_ok=True)  # while it is still ours
        except OSError as error:
            raise RunError(f"cannot remove {self._path}: {error.strerror}") from error
        finally:
            self._file.close()

    def _take(self) -> FileIO:
        while True:
            file = self._path.open("a+b", buffering=0)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_nlink > 0:
                    self._sign(file)
                    return file
            except BaseException:
                file.close()
                raise
            file.close()  # its holder removed it between our open and our lock: try anew

    def _holder(self) -> str:
        try:
            return self._path.read_text(errors="replace").strip() or "another process"
        except FileNotFoundError:
            return "a process that is just ending"

    def _sign(self, file: FileIO) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {now}\n".encode())
