"""Team: forked processes that compute shards, where threads would wait for one another.

Threads of one interpreter hand the lock over at every NumPy call, 3 us each time; at shards of
16 images that is a fifth of the work. Forked workers see the network, the data and the weights
as they are, without a copy; requests and replies are a few numbers on a socket, and gradients
lie in shared memory. A worker computes what a thread would have, to the bit. One that fails or
dies only leaves its shards to the parent, which computes them itself and meets the same error.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Array

Serve = Callable[[Array], Array]
"""request (int64) -> reply (float64); runs in the worker."""

_OK = b"\x01"


def shared_vector(size: int, dtype: npt.DTypeLike) -> Array:
    """Return zeros, (size,), in memory that forked processes share."""
    memory = mmap.mmap(-1, max(1, size * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, count=size)


def can_fork() -> bool:
    """Tell if workers can be forked: on macOS the BLAS does not survive it."""
    return sys.platform == "linux" and hasattr(os, "fork")


class Team:
    """A fixed number of workers, forked now: they see all that exists at this moment.

    Args:
        workers: how many, besides the parent.
        serve: answers requests, in each worker.
        longest: most numbers in a request.
    """

    def __init__(self, workers: int, serve: Serve, longest: int) -> None:
        self._longest = longest
        self._lines: list[socket.socket] = []
        self._pids: list[int] = []
        try:
            for _ in range(workers):
                self._hire(serve)
        except OSError:  # no more processes to be had: those there are will do
            return

    def __len__(self) -> int:
        return len(self._lines)

    def _hire(self, serve: Serve) -> None:
        line, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of forking beside threads. None of ours holds a lock here, and
                # a worker runs nothing but layers until it exits.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError:
            line.close()
            far_end.close()
            raise
        if pid == 0:
            for other in (*self._lines, line):
                other.close()  # else it would never see the parent go
            _work(far_end, serve, self._longest)
        far_end.close()
        self._lines.append(line)
        self._pids.append(pid)

    def ask(self, worker: int, request: Sequence[int]) -> bool:
        """Send a request; False where the worker is gone."""
        try:
            self._lines[worker].sendall(np.asarray(request, np.int64).tobytes())
        except OSError:
            return False
        return True

    def answer(self, worker: int) -> Array | None:
        """Wait for the reply to the last request; None where the worker failed or is gone."""
        try:
            reply = self._lines[worker].recv(8 * self._longest + 1)
        except OSError:
            return None
        return np.frombuffer(reply[1:], np.float64) if reply[:1] == _OK else None

    def close(self) -> None:
        """Let the workers go and wait until they are gone."""
        for line in self._lines:
            # To close is not to hang up: another process forked since may hold the line as well.
            line.shutdown(socket.SHUT_RDWR)
            line.close()
        for pid in self._pids:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                continue  # somebody else has waited for it
        self._lines, self._pids = [], []


def _work(line: socket.socket, serve: Serve, longest: int) -> None:
    """Answer requests until the parent hangs up; then leave without a trace of the parent's."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while request := line.recv(8 * longest):
            line.sendall(_reply(serve, np.frombuffer(request, np.int64)))
    finally:
        os._exit(0)


def _reply(serve: Serve, request: Array) -> bytes:
    try:
        return _OK + serve(request).astype(np.float64).tobytes()
    except Exception:
        return b"\x00"  # the parent computes these shards itself and reports what it meets
