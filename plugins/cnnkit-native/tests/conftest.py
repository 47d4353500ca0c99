"""Every test of a kernel runs on every instruction set that this processor and build have."""

from __future__ import annotations

import pytest
from cnnkit_native.library import choose, variant

BEST = variant()
ALL = [name for name in ("avx512", "avx2", "baseline", "neon") if choose(name)]
choose(BEST)


@pytest.fixture(params=ALL)
def isa(request):
    """Choose the kernels of an instruction set."""
    assert choose(request.param)
    yield request.param
    choose(BEST)
