"""What an examination yields: facts, and ailments with their remedies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Ailment:
    """Something wrong, and how to mend it; `fatal` where no run can work before that."""

    what: str
    fix: str
    fatal: bool = False

    @property
    def severity(self) -> str:
        """The word that a line about it starts with."""
        return "error" if self.fatal else "warning"

    def as_json(self) -> dict[str, str]:
        """Return the fields under the names of the JSON output."""
        return {"severity": self.severity, "what": self.what, "fix": self.fix}


@dataclass(slots=True)
class Section:
    """What was found in one place: `facts` for programs, `lines` for people."""

    facts: Any = None
    lines: list[str] = field(default_factory=list)
    ailments: list[Ailment] = field(default_factory=list)


def examine(place: str, look: Callable[[], Section]) -> Section:
    """Return what `look` finds; where it cannot even look, that is the finding."""
    try:
        return look()
    except (Exception, SystemExit) as error:  # a broken package may raise anything
        said = " ".join(str(error).split())
        what = f"{place} cannot be examined: {type(error).__name__}: {said}"
        fix = "mend what it names, then ask again"
        return Section(None, ["unknown"], [Ailment(what, fix, fatal=True)])
