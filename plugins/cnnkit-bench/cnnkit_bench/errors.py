"""What the benchmark refuses, and what a peer cannot do."""

from __future__ import annotations

from cnnkit.errors import CnnkitError


class BenchError(CnnkitError):
    """A benchmark that cannot be run as asked for."""


class NoPartError(Exception):
    """A peer that takes no part in a section, and needs none; the text says why."""


class CannotExpressError(NoPartError):
    """A peer without an equal of `what`: "layer 4 (batchnorm)", "loss hinge after dense"."""

    def __init__(self, what: str) -> None:
        super().__init__(f"cannot express {what}")
