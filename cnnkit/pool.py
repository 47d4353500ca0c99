"""Pool: worker threads that take shards through a network, each with its own scratch memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import count
from queue import SimpleQueue
from threading import Lock, Thread
from types import TracebackType

import numpy as np

from cnnkit.arrays import Arena

Job = Callable[[int, Arena], None]
"""Called with the number of the job and the worker's arena."""


class Pool:
    """Runs numbered jobs on a fixed set of threads; the caller's own thread is one of them.

    Which worker takes which job is left to chance, so a job's result must not depend on it.
    NumPy lets go of the interpreter lock inside BLAS and ufuncs: that is where threads gain.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or physical_cores()
        self._arenas = [Arena() for _ in range(self.threads)]
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._workers = [Thread(target=self._serve, daemon=True) for _ in range(self.threads - 1)]
        for worker in self._workers:
            worker.start()

    def run(self, jobs: int, job: Job) -> None:
        """Do jobs 0 .. jobs-1 and return when all are done.

        Raises:
            Exception: what the lowest-numbered failing job raised.
        """
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

        helpers = min(self.threads, jobs) - 1
        try:
            for arena in self._arenas[1 : helpers + 1]:
                self._calls.put(partial(help_out, arena))
            work(self._arenas[0])
            for _ in range(helpers):
                done.get()
        except BaseException:  # Ctrl-C: nobody waits for the helpers, who may be at work yet
            stopped, self._arenas = True, [Arena() for _ in self._arenas]
            raise
        if failures:
            raise failures[min(failures)]

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def close(self) -> None:
        """End the threads."""
        for _ in self._workers:
            self._calls.put(None)
        for worker in self._workers:
            worker.join()
        self._workers = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


_SHARED_BUSY = Lock()


@contextmanager
def shared_pool(own: Pool | None = None) -> Iterator[Pool]:
    """Lend `own`, or else a pool that outlives the call, with its threads and its warm memory.

    That one serves one caller at a time; another one, meanwhile, gets a fresh pool.
    """
    if own is not None:
        yield own
        return
    if not _SHARED_BUSY.acquire(blocking=False):
        with Pool() as fresh:
            yield fresh
        return
    try:
        yield _shared(os.getpid())
    finally:
        _SHARED_BUSY.release()


@cache
def _shared(process: int) -> Pool:
    """Make the shared pool of a process: threads do not follow into a forked one."""
    return Pool()


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
