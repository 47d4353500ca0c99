"""Workers: threads, forked processes, and one thread for BLAS."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from itertools import count
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cnnkit.arrays import Arena, Array
from cnnkit.errors import RunError
from cnnkit.meeting import Deserted

T = TypeVar("T")


_TINY = 2.0**-55  # added to 1 or taken off it, rounds to 1


class _OneBlasThread:
    def __init__(self) -> None:
        self._lock, self._users = Lock(), 0
        self._before: list[tuple[Any, int]] = []  # each library that was limited, and its count

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = [(lib, n) for lib in _blas() if (n := lib.get_num_threads()) != 1]
                for library, _ in self._before:
                    library.set_num_threads(1)
            self._users += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for library, threads in self._before:
                    library.set_num_threads(threads)


_ONE = _OneBlasThread()


def one_blas_thread() -> _OneBlasThread:
    """Keep BLAS on one thread: the threads use the cores, and the bits must not depend on them.

    The count of BLAS's threads is the whole process's, so the last block to end puts it back. It is
    not held any longer, between two predictions for instance: whoever limits BLAS in between, as
    scikit-learn does, would note 1 as what to put back, and leave the process at one for ever.
    """
    return _ONE


@cache
def _blas() -> list[Any]:
    """Find the BLAS libraries once: looking for them takes 200 us. Each is set in 0.5 us; by a
    limit of threadpoolctl's it takes 20 between two predictions, as that collects facts first."""
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


Job = Callable[[int, Arena], None]
"""Called with the number of the job and the worker's arena."""


class Threads:
    """Runs numbered jobs on a fixed set of threads; the caller's own thread is one of them.

    Which worker takes which job is left to chance, so a job's result must not depend on it.
    NumPy lets go of the interpreter lock inside BLAS and ufuncs: that is where threads gain.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.count = threads or physical_cores()
        self._arenas = [Arena()]
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._workers: list[Thread] = []
        self._hire(self.count)

    def _hire(self, workers: int) -> None:
        """Have at least as many workers, the caller's own thread included."""
        while len(self._arenas) < workers:
            self._arenas.append(Arena())
            self._workers.append(Thread(target=self._serve, daemon=True))
            self._workers[-1].start()

    def run(self, jobs: int, job: Job, *, together: bool = False) -> None:
        """Do jobs 0 .. jobs-1 and return when all are done.

        Args:
            together: give each job a thread of its own, as they wait for one another.

        Raises:
            Exception: what the lowest-numbered failing job raised.
        """
        if jobs == 1:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                job(0, self._arenas[0])
            return
        workers = max(jobs, self.count) if together else self.count
        self._hire(workers)
        numbers, failures = count(), dict[int, BaseException]()
        done: SimpleQueue[None] = SimpleQueue()
        stopped = False

        def work(arena: Arena) -> None:
            nonlocal stopped
            # Overflow is no news here: training looks for values that are not finite, and says
            # in which layer they came up.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                while not stopped and (number := next(numbers)) < jobs:
                    try:
                        job(number, arena)
                    except BaseException as error:
                        failures[number] = error
                        stopped = stopped or not isinstance(error, Exception)

        def help_out(arena: Arena) -> None:
            work(arena)
            done.put(None)

        helpers = min(workers, jobs) - 1
        try:
            for arena in self._arenas[1 : helpers + 1]:
                self._calls.put(partial(help_out, arena))
            work(self._arenas[0])
            for _ in range(helpers):
                done.get()
        except BaseException:  # Ctrl-C: nobody waits for the helpers, who may be at work yet
            stopped, self._arenas = True, [Arena() for _ in self._arenas]
            raise
        if failures:  # who was deserted has nothing to tell
            raise min(failures.items(), key=lambda f: (isinstance(f[1], Deserted), f[0]))[1]

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def map(self, jobs: int, function: Callable[[int], T], *, together: bool = False) -> list[T]:
        """Return what `function` returns for 0 .. jobs-1; `together` as in `run`."""
        results: dict[int, T] = {}

        def job(number: int, _: Arena) -> None:
            results[number] = function(number)

        self.run(jobs, job, together=together)
        return [results[number] for number in range(jobs)]

    def close(self) -> None:
        """End the threads."""
        for _ in self._workers:
            self._calls.put(None)
        for worker in self._workers:
            worker.join()
        self._workers = []

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


_SHARED_BUSY = Lock()


@contextmanager
def shared_threads(own: Threads | None = None) -> Iterator[Threads]:
    """Lend `own`, or else a pool that outlives the call, with its threads and its warm memory.

    That one serves one caller at a time; another one, meanwhile, gets a fresh pool.

    Raises:
        RunError: where the processor does not round to nearest.
    """
    _check_rounding()
    if own is not None:
        yield own
        return
    if not _SHARED_BUSY.acquire(blocking=False):
        with Threads() as fresh:
            yield fresh
        return
    try:
        yield _shared(os.getpid())
    finally:
        _SHARED_BUSY.release()


def _check_rounding() -> None:
    """Refuse to compute under another rounding mode, which some library has set and left so.

    Raises:
        RunError: where a sum that lies between two numbers is not the nearer one.
    """
    if 1 + _TINY != 1 or 1 - _TINY != 1:
        raise RunError(
            "this process does not round to the nearest number (fesetround), so results would be "
            "others than anywhere else; set FE_TONEAREST before cnnkit is used"
        )


@cache
def _shared(process: int) -> Threads:
    """Make the shared pool of a process: threads do not follow into a forked one."""
    return Threads()


def physical_cores() -> int:
    """Return how many cores this process may use, hyperthreads not counted where that is known."""
    try:
        usable = sorted(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        return os.cpu_count() or 1
    siblings = set()
    for cpu in usable:
        try:
            path = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
            with open(path, encoding="ascii") as file:  # noqa: PTH123  # hot in start-up
                siblings.add(file.read().strip())
        except OSError:
            return len(usable)
    return max(1, len(siblings))


Handle = Callable[[Array], Array]
"""request (int64) -> reply (float64); runs in the process."""


def shared_vector(size: int, dtype: npt.DTypeLike) -> Array:
    """Return zeros, (size,), in memory that forked processes share."""
    memory = mmap.mmap(-1, max(1, size * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype, count=size)


def can_fork() -> bool:
    """Tell if workers can be forked: on macOS the BLAS does not survive it."""
    return sys.platform == "linux" and hasattr(os, "fork")


class Processes:
    """A fixed number of forked processes: they see all that exists at this moment.

    Threads of one interpreter hand the lock over at every NumPy call, 3 us each time; at shards of
    16 images that is a fifth of the work. Forked processes see the network, the data and the
    weights as they are, without a copy; requests and replies are a few numbers on a socket, and
    gradients lie in shared memory. A process computes what a thread would have, to the bit. One
    that fails or dies only leaves its work to the parent.

    Args:
        count: how many, besides the parent.
        handle: answers requests, in each process.
        longest: most numbers in a request or a reply.
        note: called with a line for each that died.
    """

    def __init__(
        self,
        count: int,
        handle: Handle,
        longest: int,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._bytes, self._note = 8 * (longest + 1), note
        self._lines: list[socket.socket] = []
        self._pids: list[int | None] = []  # None once it is gone: the number may be another's then
        self._requests: list[int] = []  # sent to each so far; every reply names its request
        try:
            for _ in range(count):
                self._fork(handle)
        except OSError:  # no more processes to be had: those there are will do
            return

    def __len__(self) -> int:
        return len(self._lines)

    def _fork(self, handle: Handle) -> None:
        line, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (line, far_end):
            end.settimeout(None)  # whatever the program has set as its default
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of forking beside threads. None of ours holds a lock here, and
                # a forked process runs nothing but layers until it exits.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError:
            line.close()
            far_end.close()
            raise
        if pid == 0:
            for other in (*self._lines, line):
                other.close()  # else it would never see the parent go
            _work(far_end, handle, self._bytes)
        far_end.close()
        self._lines.append(line)
        self._pids.append(pid)
        self._requests.append(0)

    def send(self, helper: int, request: Sequence[int]) -> bool:
        """Send a request; False where it is too long, or the process is gone."""
        self._requests[helper] += 1
        numbers = np.array([self._requests[helper], *request], np.int64)
        try:
            self._lines[helper].sendall(numbers.tobytes())
        except ConnectionError:  # a broken pipe too
            self._lose(helper)
            return False
        except OSError:
            return False
        return True

    def receive(self, helper: int) -> Array | None:
        """Wait for the reply to the last request; None where the process failed or is gone."""
        while True:
            try:
                reply = self._lines[helper].recv(self._bytes)
            except OSError:
                reply = b""
            if not reply:
                self._lose(helper)  # before its work is done again: it may be writing yet
                return None
            if int(np.frombuffer(reply, np.int64, 1)[0]) == self._requests[helper]:
                return np.frombuffer(reply, np.float64, offset=8) if len(reply) > 8 else None

    def _lose(self, helper: int) -> None:
        if pid := self._pids[helper]:
            self._end(helper)
            self._note(f"worker process {pid} died; its share of each batch is done by this one")

    def _end(self, helper: int) -> None:
        """End a process, whatever it is doing, and wait until it is gone."""
        pid, self._pids[helper] = self._pids[helper], None
        with suppress(ProcessLookupError, ChildProcessError):  # somebody else has waited for it
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def close(self) -> None:
        """End the processes: they have nothing to put away, and one that was stopped would not
        hear a request to leave."""
        for helper, line in enumerate(self._lines):
            line.close()
            self._end(helper)
        self._lines, self._pids, self._requests = [], [], []


def _work(line: socket.socket, handle: Handle, size: int) -> None:
    """Answer requests until the parent hangs up; then leave without a trace of the parent's."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while request := line.recv(size):
            line.sendall(request[:8] + _reply(handle, np.frombuffer(request, np.int64)[1:]))
    finally:
        os._exit(0)


def _reply(handle: Handle, request: Array) -> bytes:
    try:
        return handle(request).astype(np.float64).tobytes()
    except Exception:
        return b""  # the parent does this work itself and reports what it meets
