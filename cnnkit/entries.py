"""The records a registry keeps: a type with its owner, and what became of a plugin."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cnnkit.base import Component

CORE = "cnnkit"
"""The distribution whose types keep their bare names whatever else is installed."""


ComponentClass = type[Component]


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered type and where it came from."""

    family: str
    type: str
    cls: ComponentClass
    distribution: str
    version: str

    @property
    def qualified(self) -> str:
        """The name that is never ambiguous: "cnnkit-prelu:prelu"."""
        return f"{self.distribution}:{self.type}"

    @property
    def owner(self) -> str:
        """The distribution and its version, for people."""
        return f"{self.distribution} {self.version}"

    @property
    def built_in(self) -> bool:
        """True for what cnnkit itself supplies."""
        return self.distribution == CORE


@dataclass(frozen=True, slots=True)
class Plugin:
    """What became of one entry point: what it registered, or why it could not.

    Args:
        name: of the entry point.
        module: the entry point's value, such as "cnnkit_prelu".
        requires: the versions of cnnkit it asks for, such as ">=0.1,<0.2"; "" for any.
        seconds: taken by its import and its hooks.
        error: one line, "" where it loaded; `traceback` has the rest.
        printed: what it wrote to stdout meanwhile, which went nowhere else.
        blocked: True where CNNKIT_PLUGINS leaves it out; it was not imported then.
    """

    name: str
    distribution: str
    version: str
    module: str
    requires: str = ""
    seconds: float = 0.0
    hooks: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    commands: tuple[Callable[..., Any], ...] = ()
    error: str = ""
    traceback: str = ""
    printed: str = ""
    blocked: bool = False

    @property
    def owner(self) -> str:
        """The distribution and its version, for people."""
        return f"{self.distribution} {self.version}"


def canonical(distribution: str) -> str:
    """Return a distribution's name as packaging compares it: My_Plugin is my-plugin."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
