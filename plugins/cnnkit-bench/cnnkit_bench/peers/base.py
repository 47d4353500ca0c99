"""Peer: one way to run the network, inside a worker process."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from cnnkit.arrays import Array

from cnnkit_bench.case import Case
from cnnkit_bench.errors import NoPartError

Mode = Literal["training", "inference"]


class Peer(ABC):
    """Builds the network of a case and runs steps of it.

    A subclass imports its library in `__init__`; `open` comes before anything else.

    Args:
        case: network, weights and data.
        threads: threads to use.
    """

    modes: ClassVar[tuple[Mode, ...]] = ("training", "inference")
    batches: ClassVar[tuple[int, ...] | None] = None
    """The only batch sizes it can run; None: any."""

    def __init__(self, case: Case, threads: int) -> None:
        self.case, self.threads = case, threads
        self.mode: Mode = "inference"
        self.batch = 1
        self.still = False
        self._next = 0

    @abstractmethod
    def version(self) -> str:
        """Return the library's name and version."""

    def open(self, mode: Mode, batch: int, lr: float, still: bool = False) -> None:
        """Get ready for steps of `batch` images, starting from the initial weights.

        Args:
            lr: learning rate.
            still: whether dropout stands still in training, too: no two libraries draw alike.

        Raises:
            NoPartError: saying what the library cannot do.
        """
        if mode not in self.modes:
            raise NoPartError(f"has no {mode}")
        if self.batches and batch not in self.batches:
            raise NoPartError(f"takes batches of {self.batches[0]} only")
        self.mode, self.batch, self.still, self._next = mode, batch, still, 0
        self.start(lr)

    @abstractmethod
    def start(self, lr: float) -> None:
        """Put back the initial weights; in training mode make a new optimizer with rate `lr`."""

    @abstractmethod
    def step(self, rows: slice) -> None:
        """Train on, or predict, these images, and return when it is done."""

    @abstractmethod
    def outputs(self, count: int) -> Array:
        """Return the network's output for the first `count` images, (count, K)."""

    def turn(self, steps: int, warm: int = 0) -> float:
        """Run `steps` steps, after `warm` untimed ones, and return the seconds they took."""
        for _ in range(warm):
            self.step(self._rows())
        portions = [self._rows() for _ in range(steps)]
        started = time.perf_counter()
        for rows in portions:
            self.step(rows)
        return time.perf_counter() - started

    def _rows(self) -> slice:
        """Return the next rows, from the start again where they run out."""
        if self._next + self.batch > len(self.case.labels):
            self._next = 0
        rows = slice(self._next, self._next + self.batch)
        self._next = rows.stop
        return rows
