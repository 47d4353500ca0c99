"""Every case against PyTorch itself, array by array; where it is missing, see test_reference."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cases import NAMES, by_cnnkit
from make_reference import by_torch

pytest.importorskip("torch")
import worst


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


def test_the_table_counts_cases_and_finds_the_worst(monkeypatch, capsys):
    monkeypatch.setattr(worst, "NAMES", NAMES[:2])
    worst.main()
    out = capsys.readouterr().out
    found = re.fullmatch(r"2 cases, \d+ arrays, [\d,]+ numbers: (.*) at most", out.splitlines()[-1])
    assert float(found[1]) < 1e-14
    monkeypatch.setattr(
        worst, "by_cnnkit", lambda name: {k: v + 0.5 for k, v in by_torch(name).items()}
    )
    worst.main()
    assert float(capsys.readouterr().out.split()[-3]) > 0.01
