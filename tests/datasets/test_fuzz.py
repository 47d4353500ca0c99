"""Damage small files in every way: a DataError that names the file, or the same data."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cnnkit.base import Data, DataPaths, Dataset
from cnnkit.datasets import Idx, Npz
from cnnkit.errors import DataError

CASES = int(os.environ.get("CNNKIT_FUZZ_CASES", "200"))
"""Of each kind of file; the full tier sets 1050."""

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
    return bytes(data) + rng.bytes(int(rng.integers(1, 50)))


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


DAMAGES: tuple[Damage, ...] = (flip, cut, behead, extend, overwrite, repeat, drop, noise)


def same(a: Data, b: Data) -> bool:
    pairs = [(a.train, b.train), (a.test, b.test)]
    return a.classes == b.classes and all(
        np.array_equal(x.images, y.images) and np.array_equal(x.labels, y.labels) for x, y in pairs
    )


def measured(dataset: Dataset, paths: DataPaths) -> tuple[Data | str, int]:
    """Return the data, or the text of the DataError, and the most bytes allocated on the way."""
    result: Data | str
    tracemalloc.start()
    try:
        result = dataset.load(paths)
        dataset.info(paths)
    except DataError as error:
        result = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, peak


def attack(dataset: Dataset, folder: Path, names: list[str], inside: bool) -> None:
    """Damage the files in turn; `inside` damages what the gzip holds, its checksum renewed.

    Nothing in such a file tells that its bytes are other ones, so there only the kind of
    exception, the file's name and the memory are judged.
    """
    paths = DataPaths(spec_dir=folder)
    whole = dataset.load(paths)
    refused = 0
    for case in range(CASES):
        rng = np.random.default_rng([20, case])
        path = folder / names[case % len(names)]
        good = path.read_bytes()
        damage = DAMAGES[case // len(names) % len(DAMAGES)]
        body = bytearray(gzip.decompress(good) if inside else good)
        damaged = damage(body, rng)
        path.write_bytes(gzip.compress(damaged) if inside else damaged)
        result, memory = measured(dataset, paths)
        told = f"case {case}, {damage.__name__}: {result}"
        if isinstance(result, str):
            assert str(path) in result, told
            refused += 1
        else:
            assert inside or same(result, whole), told
        assert memory < 40_000_000, told
        path.write_bytes(good)
    assert refused > CASES / 2


@pytest.mark.reliability
def test_gzipped_idx(tmp_path, four):
    attack(Idx(**four), tmp_path, list(four.values()), inside=False)


@pytest.mark.reliability
def test_idx_behind_a_right_checksum(tmp_path, four):
    attack(Idx(**four, classes=["a", "b"]), tmp_path, list(four.values()), inside=True)


@pytest.mark.reliability
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, arrays, save):
    save(tmp_path / "d.npz", **arrays)
    attack(Npz(path="d.npz", **{name: name for name in arrays}), tmp_path, ["d.npz"], inside=False)
