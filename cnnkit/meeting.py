"""Meeting: where the shards of a batch tell each other what they found, in the middle of a pass."""

from __future__ import annotations

from _thread import LockType, allocate_lock
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

from cnnkit.arrays import Array


class Deserted(BaseException):
    """Ends a shard that waits for one that failed: what that one raised is what counts."""


class Meeting:
    """Brings together what the shards of one batch give, in their order, whoever comes first.

    Each shard runs in a thread of its own, for it waits in the middle of a layer; while it does,
    another one runs in its place. Who stops wakes just the one that goes on: where all were woken
    to see whose turn it is, they pushed one another from their cores, and a step took a seventh
    longer.

    Args:
        shards: how many there are.
        at_once: how many run at the same time.
    """

    def __init__(self, shards: int, at_once: int = 1) -> None:
        # of this round and the one before, which somebody may be reading still
        self._given: list[list[tuple[str, Any]]] = [[("", None)] * shards for _ in range(2)]
        self._round = self._here = self._done = 0
        self._failed = False
        self._lock, self._free = Lock(), at_once
        # locks that are held, each by a shard that sleeps until another one opens it: those that
        # could run, and those that wait for the others
        self._ready: list[LockType] = []
        self._waiting: list[LockType] = []
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
        with self._turn() as turn:
            with self._lock:
                self._ready.append(turn)
                self._give()
            turn.acquire()
        try:
            yield
        except BaseException:
            self.leave()
            raise
        finally:
            with self._lock:
                self._done += 1
                self._wake()
                if self._done == len(self):
                    self._done = 0
                self._free += 1
                self._give()

    def leave(self) -> None:
        """Let nobody wait any longer: one will not come."""
        with self._lock:
            self._failed = True
            self._wake()
            self._give()

    def gather(self, shard: int, path: str, value: Any) -> list[Any]:
        """Return every shard's value, in the order of the shards, once all have come.

        Raises:
            RuntimeError: where some shards gather and others do not, or do so elsewhere.
            Deserted: where another shard failed.
        """
        with self._turn() as turn:
            with self._lock:
                mine, given = self._round, self._given[self._round % 2]
                given[shard] = path, value
                self._here += 1
                is_last = self._here == len(self)
                if is_last:
                    self._here, self._round = 0, self._round + 1
                    self._wake()
                else:
                    is_over = self._failed or self._done
                    (self._ready if is_over else self._waiting).append(turn)
                    self._free += 1
                self._give()
            if not is_last:
                turn.acquire()
        if not is_last:
            self._demand_round(mine)
        if any(place != path for place, _ in given):
            raise RuntimeError("shards of a batch gather in different places")
        return [each for _, each in given]

    def _demand_round(self, mine: int) -> None:
        if self._round > mine:
            return
        if self._failed:
            raise Deserted
        raise RuntimeError("some shards of a batch gather, and others do not")

    # ------------------------------------------------------------------------------------- turns

    @contextmanager
    def _turn(self) -> Iterator[LockType]:
        """Give what to sleep on, held. Where a sleeper is interrupted, nobody waits any longer, and
        the slot that it may have been given goes to the next."""
        turn = allocate_lock()
        turn.acquire()
        try:
            yield turn
        except BaseException:
            with self._lock:
                queues = [queue for queue in (self._ready, self._waiting) if turn in queue]
                for queue in queues:
                    queue.remove(turn)
                self._free += not queues
                self._failed = True
                self._wake()
                self._give()
            raise

    def _wake(self) -> None:
        """Let those that wait for the others run again, as their turn comes."""
        self._ready += self._waiting
        self._waiting.clear()

    def _give(self) -> None:
        """Give every free slot to one that could run; the last to come has its maps still warm."""
        while self._free > 0 and self._ready:
            self._free -= 1
            self._ready.pop().release()


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
