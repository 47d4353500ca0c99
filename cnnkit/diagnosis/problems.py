"""Problems: what is wrong with a spec, where it stands, and how that is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import accumulate
from typing import Any
from unicodedata import combining, east_asian_width

from cnnkit.base.component import Synonyms
from cnnkit.base.place import KeyPath
from cnnkit.diagnosis.source import Positions, locate
from cnnkit.errors import SpecError
from cnnkit.source import Finding, Origin, Override, Problem, Source
from cnnkit.stdout import visible_character

_MEANT = {
    "batch": "batchsize minibatch",
    "epochs": "nepochs numepochs",
    "filters": "channels outchannels nfilters numfilters features",
    "kernel": "kernelsize ksize filtersize kernelshape",
    "lr": "learningrate stepsize eta alpha",
    "max": "maximum",
    "mean": "average avg",
    "min": "minimum",
    "padding": "pad pads border",
    "rate": "p prob probability droprate dropoutrate",
    "size": "poolsize window",
    "units": "neurons nodes hidden outfeatures outputs width",
}
"""What others call the terms of art that options and their values go by, whatever the component."""
_OTHERS = re.compile("[gsc]?elu|silu|[rs]?glu|conv[13]d|n?adam[wx]?|adamax|adagrad|m[sa]e")


def did_you_mean(word: str, known: Iterable[str], synonyms: Synonyms | None = None) -> str | None:
    """Return the known word that `word` was meant to be: a synonym, another spelling, a slip.

    A term of art that cnnkit does not have, gelu or conv3d, is no slip for one that it has.
    """
    plain, words = bare(word), sorted(known)
    for candidate in words:
        if plain in _names(candidate, synonyms.get(candidate, "") if synonyms else ""):
            return candidate
    if not 1 < len(plain) <= 40 or _OTHERS.fullmatch(plain):
        return None
    return _nearest(plain, tuple(words))


@lru_cache(maxsize=2**16)  # a word is judged once to explain it, and once to mend it
def _nearest(plain: str, words: tuple[str, ...]) -> str | None:
    """Return the most alike of `words`, None where none is alike enough."""
    scores = [_likeness(plain, bare(candidate)) for candidate in words]
    best = max(scores, default=0)
    return words[scores.index(best)] if best > 0.75 else None


@lru_cache(maxsize=4096)
def _names(word: str, synonyms: str) -> frozenset[str]:
    """Return what a known word goes by."""
    return frozenset([bare(word), *synonyms.split(), *_MEANT.get(word, "").split()]) - {""}


@lru_cache(maxsize=4096)  # asked for every known word, for every unknown one
def bare(word: str) -> str:
    """Return a word as synonyms are written: in small letters, without dashes."""
    return re.sub(r"[\s_-]", "", word).casefold()


@lru_cache(maxsize=4096)
def _without_digits(word: str) -> str:
    return re.sub(r"\d", "", word)


def _likeness(a: str, b: str) -> float:
    """Return difflib's ratio, raised if one letter is changed, dropped, added or swapped."""
    shorter = min(len(a), len(b))
    if shorter > 2:  # the ratio is at most that of letters in common
        shared = min(sum(map(b.__contains__, a)), sum(map(a.__contains__, b)))
        if 2 * shared < 0.45 * (len(a) + len(b)):
            return 0
    start = next((at for at in range(shorter) if a[at] != b[at]), shorter)
    c, d = a[start:], b[start:]
    swapped = c[:2] != "" and d == c[1::-1] + c[2:]
    slip = swapped or d == c[1:] or d[1:] == c
    if _without_digits(a) == _without_digits(b) and not slip:
        return 0  # float16 is another word than float64, as float23 is not
    if shorter < 3:  # too short for a letter to be another: lrr and rl, but not lt
        return 0.8 * slip
    return SequenceMatcher(None, a, b).ratio() + 0.3 * (slip or d[1:] == c[1:])


def report(findings: list[Finding], source: Source) -> list[Problem]:
    """Return the findings with file, line, column and source line, or with their `--set`.

    What is wrong in a block counts once, however often that is repeated.
    """
    texts = _Texts()
    problems: list[Problem] = []
    seen = set()
    for finding in findings:
        problem = _problem(finding, source, texts)
        said = _PLACE.sub("", problem.message, count=1), problem.note, problem.help
        place = problem.file, problem.argument, problem.line, problem.column
        if not problem.uses or (said, place) not in seen:
            problems.append(problem)
        seen.add((said, place))
    return problems


def place_in(source: Source, path: KeyPath) -> str:
    """Return "spec.toml:12:3" for what is at `path` of the expanded spec, or ""."""
    origin = source.origin(path)
    return _Texts().place(source, origin.path) if source.file else ""


class _Texts(dict[str, tuple[Positions | None, list[str]]]):
    """What is where in each of the files of a spec, and its lines."""

    def of(self, file: Source) -> tuple[Positions | None, list[str]]:
        """Return that of one file; there are no positions for a spec made in Python."""
        if file.file not in self:
            self[file.file] = locate(file.text) if file.file else None, file.text.split("\n")
        return self[file.file]

    def place(self, source: Source, path: KeyPath) -> str:
        """Return "spec.toml:12:3" or "--set vars.width=0" for what is at `path` of the files."""
        file = source.file_of(path)
        located = self.of(file)[0]
        if override := source.override_of(path, _is_in(path, located)):
            return f"--set {override.argument}"
        found = located.nearest(path) if located is not None else None
        return f"{file.file}:{found.line}:{found.column}" if found else file.file


def _problem(finding: Finding, source: Source, texts: _Texts) -> Problem:
    origin = Origin(finding.path) if finding.override else source.origin(finding.path)
    file, placed = source.file_of(origin.path), finding._replace(path=origin.path)
    located, lines = texts.of(file)
    late = source._replace(overrides=source.late)
    override = finding.override or late.override_of(finding.path, is_in_file=True)
    if override := override or late.retyped_by(finding.path):
        placed = finding
    else:
        override = source.override_of(origin.path, _is_in(origin.path, located))
        override = override or source.retyped_by(origin.path)
    if override is None and (made := source.retyped_by(origin.path[:-1])):
        cause = f"the type comes from --set {made.argument}"
        finding = finding._replace(help="; ".join(filter(None, [finding.help, cause])))
    where = _in_argument(placed, override) if override else _in_file(placed, located, lines)
    words = {name: getattr(finding, name) for name in ("path", "note", "help", "trail")}
    uses = () if placed is finding else origin.uses  # where a late --set decides
    words["uses"] = tuple(f"{said} {texts.place(source, path)}" for said, path in uses)
    return Problem(finding.message, file.file, **words, **where)


def _in_argument(finding: Finding, override: Override) -> dict[str, Any]:
    """Return where in a `--set` argument the caret goes: to a part of the key, or the value."""
    key, _, value = override.argument.partition("=")
    depth = len(finding.path)
    on_value = value and depth >= len(override.path) and (
        finding.at == "value" or depth > len(override.path)
    )  # fmt: skip
    if on_value:
        start, width = len(key) + 1, len(value)
    else:
        parts = key.split(".")
        index = min(max(depth, 1), len(parts)) - 1
        start, width = sum(len(part) + 1 for part in parts[:index]), len(parts[index])
        start, width = (0, len(key)) if not depth else (start, width)
    text = f"--set {override.argument}"
    column = len("--set ") + start + 1
    return {"argument": text, "line": 1, "column": column, "width": max(width, 1),
            "source_line": text}  # fmt: skip


def _is_in(path: KeyPath, located: Positions | None) -> bool:
    return located is not None and path in located


def _in_file(finding: Finding, located: Positions | None, lines: list[str]) -> dict[str, Any]:
    position = located.nearest(finding.path) if located is not None else None
    if position is None:
        return {"line": 1, "column": 1, "width": 1, "source_line": lines[0].rstrip("\r")}
    if finding.at == "key" or not _is_in(finding.path, located):
        line, column, width = position.line, position.column, position.width
    else:
        line, column = position.value_line, position.value_column
        width = position.value_width
    return {"line": line, "column": column, "width": width,
            "source_line": lines[line - 1].rstrip("\r")}  # fmt: skip


_COLUMNS = 100
_CUT = "..."


def render(problems: Sequence[Problem], limit: int = 20) -> str:
    """Return the problems as text in the order of the files, `limit` of them at most; those that
    differ in nothing but their place count as one."""
    groups: dict[Any, list[Problem]] = {}
    for problem in sorted(problems, key=_order):
        said, has_place = _PLACE.subn("", problem.message, count=1)
        told = said, *(getattr(problem, name) for name in _TOLD)
        groups.setdefault(told if has_place else len(groups), []).append(problem)
    first, rest = list(groups.values())[:limit], list(groups.values())[limit:]
    shown = [_render(*group) for group in first]
    if left := sum(map(len, rest)):
        shown.append(f"... and {left} more problem{'s' if left > 1 else ''}")
    return "\n\n".join(shown)


_TOLD = ("note", "trail", "help", "file", "argument", "uses")
_PLACE = re.compile(r"(\[\w+\]|layer \d+)( > [\w ]*\d+| \([^()]*\)| \w+ \d+)*: ")
"""What a message begins with where it is about a layer, or a table in a section."""


def refusal(problems: Sequence[Problem]) -> SpecError:
    """Return an error that shows the problems."""
    return SpecError(render(problems), sorted(problems, key=_order))


def _order(problem: Problem) -> tuple[bool, str, int, int]:
    in_argument = problem.argument is not None  # arguments come after the files
    return in_argument, problem.argument or problem.file, problem.line or 0, problem.column or 0


def _render(problem: Problem, *alike: Problem) -> str:
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
    parts = [("note", note), ("shapes", problem.trail), *(("note", use) for use in problem.uses)]
    parts.append(("help", problem.help))
    lines += [f"{gutter} = {name}: {_visible(text)}" for name, text in parts if text]
    if alike:
        places = sorted({other.line or 0 for other in alike})
        where = ", ".join(map(str, places[:5])) + ", ..." * (len(places) > 5)
        many = f"{len(alike)} more place{'s' * (len(alike) > 1)}"
        lines.append(f"{gutter} = note: and in {many}: line{'s' * (len(places) > 1)} {where}")
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
    return "".join(map(_cell, text))


def _cell(char: str) -> str:
    return "    " if char == "\t" else visible_character(char)


def _columns(cell: str) -> int:
    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in cell)
