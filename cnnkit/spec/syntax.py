"""What tomli refuses, in cnnkit's words: the place at fault, and what to write there."""

from __future__ import annotations

import re

from cnnkit.spec.problems import Problem
from cnnkit.spec.scanner import Scanner
from cnnkit.spec.syntax_rules import RULES

_Finding = tuple[int, int, str, str, str]  # start, end, message, note, help

_HIDDEN = re.compile(r"\A\ufeff|[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_UNSEEN = re.compile(
    r"[\x85\xa0\xad\u1680\u2000-\u200f\u2028\u2029\u202f\u205f-\u2064\u3000\ufeff]"
)
"""What looks like a blank or like nothing, and is neither: it may stand in strings and comments."""
BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_HUGE = re.compile(r"\d[\d_]{4299,}+")
_DEEP = re.compile(r"(?:[\[{][^\[\]{}]*+){300,}+|(?:[\w-]++\.){900,}+")
_HEADER = re.compile(r"\[\[?[\w.\" -]+\]\]?[ \t]*(?:#.*)?$", re.MULTILINE)
_ELEMENT = re.compile(r"""[ \t]*(?:\]|(?:"[^"\n]*"|'[^'\n]*')[ \t]*(?:,|\]|#|$))""", re.MULTILINE)
"""A line on which an array goes on or ends, which nothing inside a table looks like."""
_KEY = re.compile(r"""["'\w.-]+[ \t]*=""")
_GLUED, _GLUED_BEFORE = re.compile(r"[\w.+:-]"), re.compile(r"[\w.+:-]+\Z")


def describe_toml_error(file: str, text: str, error: Exception) -> Problem:
    """Return what is wrong with a text that tomli refused, or that is no UTF-8."""
    doc = text.replace("\r\n", "\n")  # as tomli counts
    return _problem(file, doc, _explain(doc, error))


def describe_bidi(file: str, text: str) -> Problem | None:
    """Return where a text, which tomli takes, is shown in another order than it has."""
    doc = text.replace("\r\n", "\n")
    match = BIDI.search(doc)
    return _problem(file, doc, _hidden(match)) if match else None


def _problem(file: str, doc: str, finding: _Finding) -> Problem:
    start, end, message, note, help = finding
    line_start = doc.rfind("\n", 0, start) + 1
    source_line = doc[line_start:].partition("\n")[0]
    column = start - line_start + 1
    width = max(1, min(end, line_start + len(source_line)) - start)
    line = doc.count("\n", 0, start) + 1
    return Problem(message, file, (), line, column, width, source_line, note, help=help)


def _explain(doc: str, error: Exception) -> _Finding:
    if isinstance(error, UnicodeDecodeError):
        start = len(error.object[: error.start].decode("utf-8", "replace").replace("\r\n", "\n"))
        note = f"byte 0x{error.object[error.start]:02X}"
        return start, start, "the file is not UTF-8 text", note, "save the file as UTF-8"
    pos, said = getattr(error, "pos", None), getattr(error, "msg", "")
    if hidden := _HIDDEN.search(doc, 0, len(doc) if pos is None else pos + 1):
        return _hidden(hidden)
    if pos is None:
        return _outsized(doc)
    if unseen := _UNSEEN.match(doc, pos):
        message = f"a character that cannot be seen (U+{ord(unseen.group()):04X})"
        ends_line = unseen.group() in "\x85\u2028\u2029"
        instead = "end the line as the others end" if ends_line else "a blank is a plain space"
        return *unseen.span(), message, "", f"take it out; {instead}"
    scanner = Scanner(doc[:pos])
    found = _open_string(doc, said, scanner) or _repeated(doc, said, scanner)
    return found or _open_bracket(doc, pos, scanner) or _by_rule(doc, pos, said)


def _hidden(match: re.Match[str]) -> _Finding:
    code = f"(U+{ord(match.group()):04X})"
    message, help = {
        "\ufeff": (f"the file starts with a byte order mark {code}", "save it as UTF-8, no BOM"),
        "\0": (f"a NUL character {code} in the text", "save the file as UTF-8 text"),
        "\r": (f"a carriage return {code} without a line feed", "end lines with LF or CRLF"),
    }.get(match.group(), (f"a control character {code} in the text", "take it out"))
    if match.group() > "\u2000" and match.group() != "\ufeff":
        message = f"a character {code} that reverses text, so that it reads as what it is not"
    return match.start(), match.end(), message, "", help


def _outsized(doc: str) -> _Finding:
    if huge := _HUGE.search(doc):
        return *huge.span(), "a number of more than 4300 digits", "", "write a smaller number"
    start, end = deep.span() if (deep := _DEEP.search(doc)) else (0, 0)
    return start, end, "arrays, tables or keys nested too deeply", "", "nest fewer of them"


def _open_string(doc: str, said: str, scanner: Scanner) -> _Finding | None:
    start = scanner.unclosed
    if start is None or not said.startswith(("Untermin", 'Expected "', "Illegal", "Found invalid")):
        return None
    quote = doc[start] * (3 if doc.startswith(doc[start] * 3, start) else 1)
    help = f"a string of several lines goes between {doc[start] * 3} and {doc[start] * 3}"
    return start, len(doc), "a string is not closed", f"expected a closing {quote}", help


def _repeated(doc: str, said: str, scanner: Scanner) -> _Finding | None:
    if not said.startswith(("Cannot", "Duplicate")):
        return None
    if scanner.again is None:
        start, end = scanner.last.key, scanner.last.key_end
        message = f"`{doc[start:end]}` comes too late: what it belongs to is complete"
        return start, end, message, "", "write everything that a table holds in one place"
    start, end, before = scanner.again
    note = f"first given on line {doc.count(chr(10), 0, before) + 1}"
    return start, end, f"`{doc[start:end]}` is given twice", note, "keep one of the two"


def _open_bracket(doc: str, pos: int, scanner: Scanner) -> _Finding | None:
    """Explain a bracket that is open where the text ends or goes on with another statement."""
    line_start = doc.rfind("\n", 0, pos) + 1
    nodes = [node for node in scanner.open if node.value < line_start or pos == len(doc)]
    if not nodes:
        return None
    node = nodes[-1]
    header, key = _HEADER.match(doc, line_start), _KEY.match(doc, pos)
    innermost = node is scanner.open[-1]  # else a table on this line lacks a comma
    goes_on = key and innermost and (node.is_array or pos == line_start)
    next_table = not node.is_array and doc.startswith("{", pos)
    next_element = innermost and not node.is_array and _ELEMENT.match(doc, line_start)
    if not (pos == len(doc) or header or goes_on or next_table or next_element):
        return None
    where = "" if pos == len(doc) else f" before line {doc.count(chr(10), 0, pos) + 1}"
    message = f"`{doc[node.value]}` is not closed{where}"
    note = f"expected a closing {']' if node.is_array else '}'}"
    help = "close it, or put , before what goes on inside it"
    help = "a table inside an array is written { key = value }" if node.is_array else help
    return node.value, node.value + 1, message, note, help


def _by_rule(doc: str, pos: int, said: str) -> _Finding:
    if said.startswith("Unescaped") or "scalar" in said or "hex" in said:
        help = "write \\\\ for a backslash, or the string in '...', where nothing is escaped"
        start = doc.rfind("\\", 0, pos)
        return start, max(pos, start + 2), "a string with a wrong escape", "not an escape", help
    before = _GLUED_BEFORE.search(doc[max(0, pos - 80) : pos])
    if before and said.startswith(("Expected newline", "Unclosed")) and _GLUED.match(doc, pos):
        said, pos = "Invalid value", pos - len(before.group())
    for begins, pattern, (message, note, help) in RULES:
        if re.match(begins, said) and (match := pattern.match(doc, pos)):
            found = match.group()[:40]
            words = found, found.lower(), "]" if found == "}" else "}"
            return *match.span(), message.format(*words), note.format(*words), help.format(*words)
    return pos, pos, said, "", ""
