"""cnnkit bench and cnnkit twin: the network of a spec in cnnkit and in its peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnkit import hookimpl

from cnnkit_bench.command import bench, twin

__all__ = ["bench", "twin"]


@hookimpl
def cnnkit_commands() -> list[Callable[..., Any]]:
    """Return the verbs `bench` and `twin`."""
    return [bench, twin]
