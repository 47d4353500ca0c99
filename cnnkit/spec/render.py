"""Problems as text: what happened, where, what was expected there, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from unicodedata import category, combining, east_asian_width

from cnnkit.spec.problems import Problem
from cnnkit.spec.syntax import describe_toml_error

__all__ = ["describe_toml_error", "place", "render"]

_COLUMNS = 100
_CUT = "..."


def render(problems: Sequence[Problem], limit: int = 20) -> str:
    """Return the problems as text in the order of the files, `limit` of them at most."""
    ordered = sorted(problems, key=place)
    shown = [_render(problem) for problem in ordered[:limit]]
    if rest := len(ordered) - len(shown):
        shown.append(f"... and {rest} more problem{'s' if rest > 1 else ''}")
    return "\n\n".join(shown)


def place(problem: Problem) -> tuple[bool, str, int, int]:
    """Return what problems are sorted by."""
    in_argument = problem.argument is not None  # arguments come after the files
    return in_argument, problem.argument or problem.file, problem.line or 0, problem.column or 0


def _render(problem: Problem) -> str:
    number = str(problem.line) if problem.line and problem.argument is None else ""
    position = f":{number}:{problem.column or 1}" if number else ""
    gutter = " " * max(len(number), 1)
    where = problem.argument or (problem.file and problem.file + position)
    source, note = problem.source_line or problem.argument or "", problem.note
    lines = [f"error: {_visible(problem.message)}"]
    lines += [f"{gutter}--> {_visible(where)}"] if where else []
    if problem.column and source.strip():
        room = _COLUMNS - len(gutter) - len(" | ")
        text, caret = _window(source, problem.column - 1, problem.width, room)
        lines += [f"{gutter} |", f"{number or gutter} | {text}".rstrip()]
        lines += [f"{gutter} | {caret} {_visible(note)}".rstrip()]
        note = ""
    parts = {"note": note, "shapes": problem.trail, "help": problem.help}
    lines += [f"{gutter} = {name}: {_visible(text)}" for name, text in parts.items() if text]
    return "\n".join(lines)


def _window(source: str, start: int, width: int, room: int) -> tuple[str, str]:
    """Return a line as it is shown in `room` columns, and the carets under its part at `start`."""
    start = max(0, min(start, len(source)))
    near = max(0, start - 4 * room)  # a line may be a mebibyte long
    cells = [_cell(char) for char in source[near : start + 4 * room]]
    start -= near
    ends = [0, *accumulate(map(_columns, cells))]  # ends[i]: the column that cell i starts at
    stop = max(start, min(start + width, len(cells)))
    first, last = 0, len(cells)
    if ends[-1] > room:
        fits = ends[stop] <= room - len(_CUT)
        left = 0 if fits else max(0, min(ends[start] - room // 3, ends[-1] - room))
        first = next(i for i, end in enumerate(ends) if end >= left + len(_CUT) * (left > 0))
        right = left + room - len(_CUT) * (left + room < ends[-1])
        last = max(i for i, end in enumerate(ends) if end <= right)
    before = _CUT if first or near else ""
    after = _CUT if last < len(cells) or len(source) > near + len(cells) else ""
    text = before + "".join(cells[first:last]) + after
    carets = ends[min(stop, last)] - ends[start]
    return text, " " * (len(before) + ends[start] - ends[first]) + "^" * max(carets, 1)


def _visible(text: str) -> str:
    """Return text in which every character shows: controls and bidi marks as escapes."""
    return "".join(map(_cell, text))


def _cell(char: str) -> str:
    if char == "\t":
        return "    "
    if category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"
    return char


def _columns(cell: str) -> int:
    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in cell)
