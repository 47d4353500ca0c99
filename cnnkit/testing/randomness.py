"""The global random states of NumPy and Python, which no component may touch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators, so that whoever reads them is found out; then undo it."""
    before = np.random.get_state(), random.getstate()
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before[0])
        random.setstate(before[1])


def global_state() -> tuple[str, object]:
    """Return the states in a form that compares with ==."""
    _, words, *rest = np.random.get_state(legacy=True)
    return f"{rest} {np.asarray(words).tobytes().hex()}", random.getstate()
