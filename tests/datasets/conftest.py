"""What tests of datasets share."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")
PEAK = 40_000_000  # bytes; the bound below which hostile files must stay


@pytest.fixture
def peak() -> Callable[[Callable[[], T]], T]:
    """Call a function and fail if it allocates more than PEAK on the way."""

    def measured(function: Callable[[], T]) -> T:
        tracemalloc.start()
        try:
            result = function()
            assert tracemalloc.get_traced_memory()[1] < PEAK
        finally:
            tracemalloc.stop()
        return result

    return measured
