"""Every case against PyTorch itself, array by array; where it is missing, see test_reference."""

from __future__ import annotations

import numpy as np
import pytest
from cases import NAMES, by_cnnkit
from make_reference import by_torch

pytest.importorskip("torch")


@pytest.mark.parametrize("name", NAMES)
def test_cnnkit_equals_torch(name):
    ours, theirs = by_cnnkit(name), by_torch(name)
    assert ours.keys() == theirs.keys()
    for what, wanted in theirs.items():
        assert ours[what].dtype == np.float64
        scale = max(1.0, np.abs(wanted).max())
        np.testing.assert_allclose(
            ours[what], wanted, rtol=0, atol=1e-10 * scale, err_msg=f"{name}: {what}"
        )
