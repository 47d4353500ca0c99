"""The number of threads that BLAS may use, which belongs to the whole process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


class _OneThread:
    """Keeps BLAS on one thread while anybody wants that; the count of threads is the process's."""

    def __init__(self) -> None:
        self._lock, self._wanted = Lock(), 0
        self._limit: Any = None

    def begin(self) -> None:
        with self._lock:
            if not self._wanted:
                self._limit = _blas().limit(limits=1, user_api="blas")
            self._wanted += 1

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            if not self._wanted:
                self._limit.restore_original_limits()


_ONE_THREAD = _OneThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS on one thread: the pool uses the cores, and the bits must not depend on them."""
    _ONE_THREAD.begin()
    try:
        yield
    finally:
        _ONE_THREAD.end()


@cache
def _blas() -> ThreadpoolController:
    """Find the BLAS libraries once: looking for them takes 200 us, setting them 8."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
