"""Request: what the command line asks for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from cnnkit.model import find_backend
from cnnkit.workers import physical_cores

from cnnkit_bench.errors import BenchError
from cnnkit_bench.peers import OURS, PEERS
from cnnkit_bench.peers.base import Mode


@dataclass(frozen=True, slots=True)
class Request:
    """What to time.

    Args:
        backends: cnnkit's, the measure first.
        peers: names out of `PEERS`, cnnkit first.
        batches: batch sizes.
        large: one more for inference, or 0.
        threads: thread counts, the largest first: that one is cnnkit's measure.
        repeats: rounds, at most.
        minutes: for all of it; 0 for no end.
        steps: steps per turn, or None.
    """

    backends: tuple[str, ...]
    peers: tuple[str, ...]
    batches: tuple[int, ...]
    large: int
    threads: tuple[int, ...]
    repeats: int
    minutes: float
    steps: int | None

    @classmethod
    def parse(
        cls,
        backend: str,
        against: str,
        batch: str,
        large: int,
        threads: str,
        repeats: int,
        minutes: float,
        steps: int | None,
    ) -> Request:
        """Read the lists.

        Raises:
            BenchError: naming the option, what was expected and what was got.
            PluginError: where nobody offers a backend; it says how to get it.
        """
        counts = _numbers("--threads", threads) if threads else (1, physical_cores())
        if not minutes >= 0:
            raise BenchError(f"error: --minutes {minutes} is too small\n   = expected 0 or more")
        for option, value, least in (("--large", large, 0), ("--repeats", repeats, 1)):
            _at_least(option, value, least)
        _at_least("--steps", 1 if steps is None else steps, 1)
        return cls(
            _backends(backend),
            _peers(against),
            _numbers("--batch", batch),
            large,
            tuple(sorted({*counts}, reverse=True)),
            repeats,
            minutes,
            steps,
        )

    def sections(self) -> list[tuple[Mode, int]]:
        """Return (mode, batch size) in the order of the tables."""
        extra = {self.large} - {0} - {*self.batches}
        training: list[tuple[Mode, int]] = [("training", size) for size in self.batches]
        return training + [("inference", size) for size in (*self.batches, *sorted(extra))]


def _numbers(option: str, text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):
        raise BenchError(
            f"error: {option} {text!r} is not a list of sizes\n"
            f"   = expected whole numbers from 1, separated by commas, such as {option} 1,32"
        )
    return tuple(dict.fromkeys(int(word) for word in words))


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise BenchError(f"error: {option} {value} is too small\n   = expected {least} or more")


def _backends(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for name in names:
        find_backend(name)
    return names


def _peers(text: str) -> tuple[str, ...]:
    """Return the peers named, in the order of the tables."""
    known = [name for name in PEERS if name != OURS]
    wanted = [word.strip() for word in text.split(",")] if text else known
    for name in wanted:
        if name not in PEERS:
            near = get_close_matches(name, known, 1)
            advice = f"   = help: did you mean {near[0]!r}?\n" if near else ""
            raise BenchError(
                f"error: --against: unknown peer {name!r}\n{advice}   = known: {', '.join(known)}"
            )
    return (OURS, *(name for name in known if name in wanted))
