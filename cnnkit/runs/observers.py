"""The observers at work in a run."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from cnnkit.base import Epoch, Observer, RunInfo
from cnnkit.spec.runspec import RunSpec
from cnnkit.stdout import stdout_to


class Observers:
    """Tells observers what happens; one that raises is named, and left out from there on.

    Args:
        spec: names the observers, in the order they are told.
        run: what they may know of the run.
        warn: called with a line for each that failed.
        log: called with the traceback.
    """

    def __init__(
        self,
        spec: RunSpec,
        run: RunInfo,
        warn: Callable[[str], None],
        log: Callable[[str], None],
    ) -> None:
        self._listening = list(spec.observers)
        self._run, self._registry, self._warn, self._log = run, spec.registry, warn, log

    def start(self) -> None:
        """Tell them that the run begins."""
        self._tell("at the start", lambda one: one.start(self._run))

    def epoch(self, record: Epoch) -> None:
        """Tell them what an epoch gave."""
        when = f"after epoch {record.epoch}"
        self._tell(when, lambda one: one.epoch(self._run, deepcopy(record)))

    def end(self, summary: dict[str, Any]) -> None:
        """Tell them how the run ended; only the first call counts."""
        self._tell("at the end", lambda one: one.end(self._run, deepcopy(summary)))
        self._listening = []

    def _tell(self, when: str, call: Callable[[Observer], None]) -> None:
        self._listening = [one for one in self._listening if self._told(one, when, call)]

    def _told(self, observer: Observer, when: str, call: Callable[[Observer], None]) -> bool:
        """Call one observer; return whether it may be called again."""
        try:
            with stdout_to(sys.stderr):  # stdout is the command's, and may be JSON
                call(observer)
        except Exception as error:  # whatever an author's code does
            name = f"observer {observer.type} of {self._owner(observer)}"
            what = f"{name} raised {type(error).__name__} {when}: {error}"
            self._log(f"{what}\n{''.join(traceback.format_exception(error))}".rstrip())
            self._warn(f"warning: {what}; the run goes on without it")
            return False
        return True

    def _owner(self, observer: Observer) -> str:
        entry = self._registry.entry_of(type(observer))
        return entry.owner if entry else f"module {type(observer).__module__}"
