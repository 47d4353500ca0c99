"""A plugin's container gets every error that cnnkit's own get, whatever its chains are called."""

from __future__ import annotations

import pytest
from corpus import FOREIGN, FOREIGN_SPECS, SPECS, check

LIKE_RESIDUAL = [
    spec
    for spec in SPECS
    if '"residual"' in spec.read_text(encoding="utf-8", errors="replace")
    and not spec.stem.startswith("shape-residual")  # in words of residual's own
]


@pytest.mark.parametrize("spec", FOREIGN_SPECS, ids=lambda spec: spec.stem)
def test_the_text(spec):
    found = check(spec, FOREIGN)
    assert found.code == 2
    assert found.text == spec.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("spec", LIKE_RESIDUAL, ids=lambda spec: spec.stem)
def test_what_residual_gets(spec, tmp_path):
    """Every text of the corpus with residual in it, under other names of the same length."""
    text, golden = (
        path.read_text(encoding="utf-8")
        .replace("residual", "twowayed")
        .replace("body", "left")
        .replace("shortcut", "sideways")
        for path in (spec, spec.with_suffix(".txt"))
    )
    renamed = tmp_path / spec.name.replace("shortcut", "sideways")
    renamed.write_text(text, encoding="utf-8")
    assert check(renamed, FOREIGN).text == golden
