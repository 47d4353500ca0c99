"""Signals that wait: for the end of a step, or until a spec is read."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Pending:
    """The first signal that came, and whether a second one could not wait.

    Args:
        at_once: says whether now is a time at which an exception tears nothing.
    """

    def __init__(self, at_once: Callable[[], bool]) -> None:
        self._at_once, self._came = at_once, 0
        self.hurried = False
        """Whether a second signal ended a step in the middle."""
        self._before: dict[int, signal._HANDLER] = {}

    def hold(self, number: int) -> None:
        """Let a signal wait; one that is ignored stays so, as under nohup, and one that other code
        than Python's handles, which could not be given back."""
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            self._before[number] = signal.signal(number, self._handle)

    def let_go(self) -> None:
        """Let signals do again what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __bool__(self) -> bool:
        return self._came > 0

    def deliver(self) -> None:
        """Do now what the signal that waited would have done then."""
        number, self._came = self._came, 0
        self._deliver(number, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.hurried = self._came > 0
        if self.hurried or self._at_once():
            self._deliver(number, frame)
        else:
            self._came = number

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if callable(before):
            before(number, frame)
        else:  # the system's way: it ends the process
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


@contextmanager
def held_signals(at_once: Callable[[], bool]) -> Iterator[Pending]:
    """Hold Ctrl-C, SIGTERM and SIGHUP inside the block, until `deliver` is called or a second one
    comes. Only the main thread may; elsewhere nothing is held."""
    pending = Pending(at_once)
    if threading.current_thread() is threading.main_thread():
        for name in _NAMES:
            if number := getattr(signal, name, None):  # Windows has no SIGHUP
                pending.hold(number)
    try:
        yield pending
    finally:
        pending.let_go()


@contextmanager
def signals_wait() -> Iterator[None]:
    """Let a signal do at the end of the block what it would have done inside, whatever the block
    raised: an exception raised within compiled code, or in a callback of it, may get lost there."""
    with held_signals(lambda: False) as pending:
        try:
            yield
        finally:
            if pending:
                pending.deliver()
