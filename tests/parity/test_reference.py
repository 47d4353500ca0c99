"""Every case against PyTorch's stored answers; needs no torch."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cases import NAMES, by_cnnkit
from make_reference import REFERENCE, fingerprint

STORED = json.loads(REFERENCE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_cnnkit_equals_the_stored_answer(name):
    ours = by_cnnkit(name)
    assert ours.keys() == STORED[name].keys()
    for what, (shape, *projections) in STORED[name].items():
        found, *values = fingerprint(ours[what])
        assert found == shape
        scale = max(1.0, np.abs(ours[what]).max()) * ours[what].size ** 0.5
        np.testing.assert_allclose(
            values, projections, rtol=0, atol=1e-10 * scale, err_msg=f"{name}: {what}"
        )


def test_nothing_is_stored_that_no_case_reads():
    assert STORED.keys() - set(NAMES) == {"made by"}
