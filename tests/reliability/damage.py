"""Damage: what happens to files on disks, on the way, and in the hands of people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Damage = Callable[[bytearray, np.random.Generator], bytes]


def flip(data: bytearray, rng: np.random.Generator) -> bytes:
    for _ in range(rng.integers(1, 4)):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def cut(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: rng.integers(len(data))])


def behead(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[rng.integers(1, len(data)) :])


def extend(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data) + rng.bytes(int(rng.integers(1, 64)))


def overwrite(data: bytearray, rng: np.random.Generator) -> bytes:
    """Put extreme bytes somewhere, as a hostile size field has them."""
    start = int(rng.integers(len(data)))
    data[start : start + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4)])
    return bytes(data)


def repeat(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data) * 2


def drop(data: bytearray, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    del data[start : start + int(rng.integers(1, 20))]
    return bytes(data)


def noise(data: bytearray, rng: np.random.Generator) -> bytes:
    return rng.bytes(len(data))


def blank(data: bytearray, rng: np.random.Generator) -> bytes:
    """A block that never reached the disk."""
    start = int(rng.integers(len(data))) // 512 * 512
    data[start : start + 512] = bytes(len(data[start : start + 512]))
    return bytes(data)


def swap(data: bytearray, rng: np.random.Generator) -> bytes:
    a, b = (int(rng.integers(len(data) - 4)) for _ in range(2))
    data[a : a + 4], data[b : b + 4] = data[b : b + 4], data[a : a + 4]
    return bytes(data)


DAMAGES: tuple[Damage, ...] = (
    flip, cut, behead, extend, overwrite, repeat, drop, noise, blank, swap,
)  # fmt: skip
