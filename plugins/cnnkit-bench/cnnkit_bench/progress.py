"""Progress: a line on a terminal that says what goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

Say = Callable[[str], Any]


@contextmanager
def news() -> Iterator[Say]:
    """Say on a terminal what is going on; elsewhere nothing."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    with console.status("starting") as status:
        yield status.update
