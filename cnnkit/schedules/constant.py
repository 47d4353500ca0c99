"""Constant: the learning rate stays."""

from __future__ import annotations

from typing import Literal

from cnnkit.base import Schedule


class Constant(Schedule):
    """The same learning rate throughout, warm-up aside."""

    type: Literal["constant"] = "constant"

    def factor(self, epoch: float, epochs: int) -> float:
        return 1.0
