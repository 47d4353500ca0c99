"""`cnnkit doctor`: what is installed, what works, and how to mend what does not."""

from __future__ import annotations

import json as json_format
from collections import Counter
from collections.abc import Callable

from cnnkit.commands._console import emit, facts
from cnnkit.commands._health import Ailment, Section, examine
from cnnkit.commands._machine import look_at_blas, look_at_caches, look_at_data, look_at_machine
from cnnkit.commands._packages import (
    look_at_cnnkit,
    look_at_dependencies,
    look_at_extras,
    look_at_python,
)
from cnnkit.commands._plugin_health import look_at_plugins
from cnnkit.errors import CnnkitError

_PLACES: dict[str, Callable[[], Section]] = {
    "python": look_at_python,
    "cnnkit": look_at_cnnkit,
    "dependencies": look_at_dependencies,
    "extras": look_at_extras,
    "machine": look_at_machine,
    "blas": look_at_blas,
    "caches": look_at_caches,
    "data": look_at_data,
    "plugins": look_at_plugins,
}


def doctor(*, json: bool = False) -> int:
    """Say what is installed, what works, and how to mend what does not.

    The exit code is 2 where something is broken that every run needs; a broken plugin, a missing
    extra or missing data are not: it is 0 then.

    Args:
        json: print one JSON document.
    """
    sections = _examine_all()
    ailments = [ailment for section in sections.values() for ailment in section.ailments]
    well = not any(ailment.fatal for ailment in ailments)
    if json:
        found = {place: section.facts for place, section in sections.items()}
        problems = [ailment.as_json() for ailment in ailments]
        emit(json_format.dumps({"ok": well, **found, "problems": problems}))
    else:
        _print(sections, ailments)
    return 0 if well else CnnkitError.exit_code


def _examine_all() -> dict[str, Section]:
    """Look everywhere; what cannot be looked at for want of what is broken already is not told."""
    sections: dict[str, Section] = {}
    for place, look in _PLACES.items():
        explained = any(ailment.fatal for s in sections.values() for ailment in s.ailments)
        section = sections[place] = examine(place, look)
        if section.facts is None and explained:
            section.ailments = []
    return sections


def _print(sections: dict[str, Section], ailments: list[Ailment]) -> None:
    made = facts()
    for place, section in sections.items():
        for number, line in enumerate(section.lines):
            made.add_row("" if number else place, line)
    emit(made)
    for ailment in ailments:
        emit(f"\n{ailment.severity}: {ailment.what}\n   = fix: {ailment.fix}")
    counts = Counter(ailment.severity for ailment in ailments)
    words = [f"{n} {word}{'s' * (n > 1)}" for word, n in sorted(counts.items())]
    emit("\n" + (", ".join(words) or "nothing is wrong"))
