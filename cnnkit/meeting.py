"""Meeting: where the shards of a batch tell each other what they found, in the middle of a pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Semaphore
from typing import Any, NamedTuple

from cnnkit.arrays import Array


class Deserted(BaseException):
    """Ends a shard that waits for one that failed: what that one raised is what counts."""


class Meeting:
    """Brings together what the shards of one batch give, in their order, whoever comes first.

    Each shard runs in a thread of its own, for it waits in the middle of a layer; while it does,
    another one may run in its place.

    Args:
        shards: how many there are.
        at_once: how many run at the same time.
    """

    def __init__(self, shards: int, at_once: int = 1) -> None:
        # of this round and the one before, which somebody may be reading still
        self._given: list[list[tuple[str, Any]]] = [[("", None)] * shards for _ in range(2)]
        self._round = self._here = self._done = 0
        self._failed = False
        self._changed, self._running = Condition(), Semaphore(at_once)
        self.renewed: dict[str, Array] = {}
        """The values that layers want for weights that do not learn, by path."""

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self._given[0])

    def seat(self, shard: int) -> Seat:
        """Return a shard's place."""
        return Seat(self, shard)

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Run a shard inside, from one end of the network to the other or through a part of it."""
        self._running.acquire()
        try:
            yield
        except BaseException:
            self.leave()
            raise
        finally:
            with self._changed:
                self._done += 1
                self._changed.notify_all()
                if self._done == len(self):
                    self._done = 0
            self._running.release()

    def leave(self) -> None:
        """Let nobody wait any longer: one will not come."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()

    def gather(self, shard: int, path: str, value: Any) -> list[Any]:
        """Return every shard's value, in the order of the shards, once all have come.

        Raises:
            RuntimeError: where some shards gather and others do not, or do so elsewhere.
            Deserted: where another shard failed.
        """
        with self._changed:
            mine, given = self._round, self._given[self._round % 2]
            given[shard] = path, value
            self._here += 1
            waits = self._here < len(self)
            if not waits:
                self._here, self._round = 0, self._round + 1
                self._changed.notify_all()
        if waits:
            self._wait(mine)
        if any(place != path for place, _ in given):
            raise RuntimeError("shards of a batch gather in different places")
        return [each for _, each in given]

    def _wait(self, mine: int) -> None:
        self._running.release()
        with self._changed:
            self._changed.wait_for(lambda: self._round > mine or self._failed or self._done)
            is_complete, failed = self._round > mine, self._failed
        self._running.acquire()
        if not is_complete and failed:
            raise Deserted
        if not is_complete:
            raise RuntimeError("some shards of a batch gather, and others do not")


class Seat(NamedTuple):
    """One shard's place in a meeting: `Context.meet`."""

    meeting: Meeting
    shard: int

    def gather(self, path: str, value: Any) -> list[Any]:
        """Return every shard's value, in the order of the shards."""
        return self.meeting.gather(self.shard, path, value)

    def renew(self, path: str, value: Array) -> None:
        """Note another value for a weight; the first shard's counts, as all have the same."""
        if self.shard == 0:
            self.meeting.renewed[path] = value


class Alone(NamedTuple):
    """The place of a shard that waits for no other, as no layer has declared that it gathers."""

    shards: int

    def gather(self, path: str, value: Any) -> list[Any]:
        """Return the value, if there is no other shard.

        Raises:
            RuntimeError: where there are others.
        """
        if self.shards > 1:
            raise RuntimeError("calls ctx.gather without having declared gathers = True")
        return [value]

    def renew(self, path: str, value: Array) -> None:
        """Refuse.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("calls ctx.renew without having declared gathers = True")
