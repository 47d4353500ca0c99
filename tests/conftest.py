"""What holds for all tests."""

from __future__ import annotations

import gzip
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

collect_ignore = ["kernels/make_erfc.py"]  # a script with a dependency of its own


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let reliability tests run all their cases, and other ones."""
    group = parser.getgroup("reliability")
    group.addoption("--full", action="store_true", help="all cases of the reliability tests")
    group.addoption("--seed", type=int, default=0, help="from which these cases are drawn")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow tests last, so that whatever else fails is known before they begin."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def promises() -> str:
    """The page that quotes how many cases each promise is held by."""
    page = Path(__file__).parents[1] / ".github" / "docs" / "promises.md"
    return page.read_text(encoding="utf-8")


@pytest.fixture
def on_terminal() -> Callable[..., tuple[int, str, str]]:
    """Run cnnkit with one of its streams on a terminal of 100 columns; return the exit code, what
    the terminal saw, and what came on stdout where that is none."""
    pty = pytest.importorskip("pty")

    def run(*arguments: str, stream: str, **variables: str) -> tuple[int, str, str]:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "cnnkit", *arguments]
        streams = {"stdout": subprocess.PIPE, stream: theirs}
        surroundings = {**os.environ, "COLUMNS": "100", **variables}
        with subprocess.Popen(command, **streams, env=surroundings) as process:
            os.close(theirs)
            seen = b""
            try:
                while chunk := os.read(ours, 65536):
                    seen += chunk
            except OSError:  # how Linux says that the other end is closed
                pass
            out = process.stdout.read().decode() if process.stdout else ""
        os.close(ours)
        return process.returncode, seen.decode(), out

    return run


CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx_bytes(array: np.ndarray) -> bytes:
    """Return the array as an IDX file: 00 00, code, rank, big-endian sizes, big-endian values."""
    code = CODES[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def to_idx() -> Callable[[np.ndarray], bytes]:
    return idx_bytes


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Six training and four test images of 5x4 pixels, two classes."""
    rng = np.random.default_rng(7)
    return {
        "train_images": rng.integers(0, 256, (6, 5, 4), np.uint8),
        "train_labels": np.array([0, 1, 0, 1, 1, 0], np.uint8),
        "test_images": rng.integers(0, 256, (4, 5, 4), np.uint8),
        "test_labels": np.array([1, 0, 0, 1], np.uint8),
    }


@pytest.fixture
def four(tmp_path: Path, arrays: dict[str, np.ndarray]) -> dict[str, str]:
    """Write four gzipped IDX files into tmp_path; return the options of `idx`."""
    for name, array in arrays.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array), mtime=0))
    return {name: f"{name}.gz" for name in arrays}
