"""Stdout belongs to the command, and may be JSON: what plugins print goes elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from threading import RLock
from typing import TextIO

_LOCK = RLock()


@contextmanager
def stdout_to(stream: TextIO) -> Iterator[None]:
    """Send what is printed in the block to `stream`, for one thread at a time.

    `sys.stdout` is the process's. Of two threads at once, the second would put back what the
    first had put there, and the real one would be lost for good.
    """
    with _LOCK, redirect_stdout(stream):
        yield
