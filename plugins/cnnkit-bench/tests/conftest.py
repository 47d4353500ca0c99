from __future__ import annotations

from pathlib import Path

import pytest

SPEC = """
name = "small"
[data]
type = "digits"
[model]
layers = [{layers}]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
momentum = 0.9
schedule = {{ type = "cosine", warmup = 1 }}
"""

LAYERS = """
{ type = "conv", filters = 4, kernel = 3, padding = "same" }, "relu", "pool",
{ type = "dense", units = 12 }, "relu", { type = "softmax", units = 10 },
"""


@pytest.fixture
def write_spec(tmp_path: Path):
    """Write a spec on the digits with these layers; returns its path."""

    def write(layers: str = LAYERS) -> Path:
        path = tmp_path / "small.toml"
        path.write_text(SPEC.format(layers=layers), encoding="utf-8")
        return path

    return write
