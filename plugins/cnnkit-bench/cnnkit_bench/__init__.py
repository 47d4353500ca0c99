"""cnnkit bench: the network of a spec in cnnkit and in its peers, timed side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnkit import hookimpl

from cnnkit_bench.command import bench

__all__ = ["bench"]


@hookimpl
def cnnkit_commands() -> list[Callable[..., Any]]:
    """Return the verb `bench`."""
    return [bench]
