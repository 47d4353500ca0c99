"""Run: what a finished session hands over."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnkit.base import Epoch
from cnnkit.model import Model


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run.

    Args:
        path: the run directory.
        model: the trained network.
        epochs: a record per epoch.
        summary: what summary.json holds.
    """

    path: Path
    model: Model
    epochs: tuple[Epoch, ...] = field(repr=False)
    summary: dict[str, Any] = field(repr=False)
