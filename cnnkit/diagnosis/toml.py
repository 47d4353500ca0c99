"""What is wrong with a text that is no TOML."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cnnkit.source import Problem

_SHORT = r""""(?!"")(?:[^"\\\n]++|\\.)*+"|'(?!'')[^'\n]*+'"""
_LONG = r'''"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}''' + r"""|'''(?:[^']++|'(?!''))*+'{3,5}"""
_DATE = r"\d{4}-\d\d-\d\d \d\d:[\d:.]++(?:[Zz]|[+-]\d\d:\d\d)?"
_SCALAR = re.compile(rf"{_LONG}|{_SHORT}|{_DATE}|[^\s,\[\]{{}}#\"']++", re.DOTALL)
_PART = re.compile(rf"[A-Za-z0-9_-]++|{_SHORT}")
_DOT, _EQUALS = re.compile(r"[ \t]*+\.[ \t]*+"), re.compile(r"[ \t]*+=[ \t]*+")
_OPEN, _CLOSE = re.compile(r"\[{1,2}+[ \t]*+"), re.compile(r"[ \t]*+\]{1,2}+")
_SKIP = re.compile(r"(?:[ \t\n,]++|#[^\n]*+)*+")
_HEX = "[0-9A-Fa-f]"
_ELEMENT = re.compile(f"{_SKIP.pattern}({_SCALAR.pattern})", re.DOTALL)
_ESCAPE = re.compile(rf"\\(?:x({_HEX}{{2}})|u({_HEX}{{4}})|U(00(?:0{_HEX}|10){_HEX}{{4}})|(.))")
_ESCAPED = dict(zip("btnfre", "\b\t\n\f\r\x1b", strict=True))


@dataclass(slots=True)
class Node:
    """One value of a text: offsets of its key and of itself, and what it holds (None: a scalar)."""

    key: int
    key_end: int
    value: int
    value_end: int
    holds: dict[str | int, Node] | None = None
    is_array: bool = False


class Scanner:
    """Reads a text into nodes; it never raises, and its time is linear, however deep the nesting.

    To explain a syntax error it keeps `open`, the brackets not closed; `unclosed`, where such a
    string starts; `last`, the node finished last; `again`, a span and where its key stood before.
    """

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")  # as tomli does: no column changes
        self.root = self.last = self._table = Node(0, 0, 0, 0, {})
        self.open: list[Node] = []
        self.unclosed: int | None = None
        self.again: tuple[int, int, int] | None = None
        self._at = 0
        while self._take(_SKIP) is not None and self._at < len(self.text):
            start, char = self._at, self.text[self._at]
            self.again = self.again if self.open else None
            self._step(self.open[-1] if self.open else self._table, char)
            if self._at == start:  # not TOML from here on
                self.unclosed = start if char in "\"'" else None
                break

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        """Move over `pattern`, if it comes next, and return it."""
        match = pattern.match(self.text, self._at)
        self._at = match.end() if match else self._at
        return match.group() if match else None

    def _step(self, into: Node, char: str) -> None:
        if char == "[" and not self.open:
            self._header()
        elif self.open and char in "]}":
            self._at += 1
            self._finish(self.open.pop())
        elif into.is_array and into.holds is not None:
            if not self._scalars(into.holds):
                node = into.holds[len(into.holds)] = Node(self._at, self._at, self._at, self._at)
                self._value(node)
        elif parts := self._key():
            node = self._pair(into, parts)
            self._take(_EQUALS)
            self._value(node)

    def _scalars(self, holds: dict[str | int, Node]) -> bool:
        """Read elements up to the next bracket, if any come: an array may have 500 000."""
        before = self._at
        while match := _ELEMENT.match(self.text, self._at):
            start, self._at = match.span(1)
            self.last = holds[len(holds)] = Node(start, self._at, start, self._at)
        return self._at > before

    def _value(self, node: Node) -> None:
        node.value = node.value_end = self._at
        char = self.text[self._at : self._at + 1]
        if char in ("[", "{"):
            self._at += 1
            node.holds, node.is_array = {}, char == "["
            self.open.append(node)
        elif self._take(_SCALAR):
            self._finish(node)

    def _finish(self, node: Node) -> None:
        node.value_end, self.last = self._at, node
        if node.key == node.value:  # an element of an array
            node.key_end = self._at

    def _key(self) -> list[tuple[str, int, int]]:
        """Read a dotted key: the name, start and end of each part."""
        parts = []
        while part := self._take(_PART):
            parts.append((_name(part), self._at - len(part), self._at))
            if self._take(_DOT) is None:
                break
        return parts

    def _pair(self, table: Node, parts: list[tuple[str, int, int]]) -> Node:
        holds, (name, start, end) = self._holder(table, parts), parts[-1]
        if name in holds:
            self.again = (start, end, holds[name].key)
        node = holds[name] = Node(start, end, start, end)
        return node

    def _header(self) -> None:
        opened = self._at
        double = (self._take(_OPEN) or "").startswith("[[")
        parts = self._key()
        self._take(_CLOSE)
        if not parts:
            return
        holds, (name, start, end) = self._holder(self.root, parts), parts[-1]
        old = holds.get(name)
        if old is not None and not (double and old.is_array):
            self.again = (start, end, old.key)
        table = self.last = self._table = Node(start, end, opened, self._at, {})
        if double:
            array = holds.setdefault(name, Node(start, end, opened, self._at, {}, is_array=True))
            elements = array.holds = array.holds or {}
            elements[len(elements)] = table
            return
        if old is not None:  # a longer header named it before
            table.holds = old.holds
        holds[name] = table

    def _holder(self, node: Node, parts: list[tuple[str, int, int]]) -> dict[str | int, Node]:
        """Return what the table holds that takes the last part, made where it is not there yet."""
        holds = node.holds if node.holds is not None else {}
        for name, start, end in parts[:-1]:
            node = holds.setdefault(name, Node(start, end, start, end, {}))
            if node.holds and node.is_array:
                node = next(reversed(node.holds.values()))  # the newest; a slip may give it names
            if node.holds is None:  # a value where a table is wanted
                self.again, node.holds = (start, end, node.key), {}
            holds = node.holds
        return holds


def _name(part: str) -> str:
    """Return the key that one part of a dotted key spells."""
    if part.startswith('"'):
        return _ESCAPE.sub(_unescape, part[1:-1])
    return part[1:-1] if part.startswith("'") else part


def _unescape(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    return chr(int(digits, 16)) if digits else _ESCAPED.get(match[4], match[4])


# How tomli's words begin, what the text there looks like; then message, note and help, in which
# {0} is that text, {1} the same in lower case, {2} the other closing bracket.
RULES = [(said, re.compile(pattern), words) for said, pattern, *words in [
    ("Expected '='", r":", "`:` where TOML has `=`", "expected =",
     "write key = value, and [name] above the options of a table"),
    ("Invalid (?:statement|initial)", r"\{", "a table without a name", "expected a key",
     "a spec is TOML, not JSON: write key = value, and [name] above the options of a table"),
    ("Expected '='|Invalid (?:statement|initial)", r"[^\x00-\x7f]+",
     "a key with `{0}` needs quotes", "", 'write "key" = value'),
    ("Expected '='", r"[\w-]+(?=[^\n=]*=)", "a key of several words needs quotes",
     "expected =", 'write "two words" = value'),
    ("Expected '='", r"", "a key without a value", "expected = and a value", "write key = value"),
    ("Invalid value", r"(?i:true|false)(?![\w-])", "`{0}` is not a TOML value", "expected {1}",
     "write true and false in lower case"),
    ("Invalid value", r"(?i:null|none|nil)(?![\w-])", "TOML has no `{0}`", "expected a value",
     "leave the option out to get its default, or give it a value where it has none"),
    ("Invalid value", r"[\u2018-\u201f`][^\s,\]}#]*", "`{0}` is in quotes that TOML does not know",
     "expected a plain quote", 'write "text" or \'text\''),
    ("Invalid", r"[+-]?\.?\d[\w.+:-]*", "`{0}` is not a TOML value", "no such number or date",
     "numbers look like 3, 0.05 or 1e-3, without zeros in front; text needs quotes"),
    ("Invalid value", r"""(?:[^\W\d]|[/~$.@])[^\s,\[\]{}#="']*""", "a string needs quotes: {0}",
     'expected "{0}"', "only numbers, true, false, inf and nan go without quotes"),
    ("Invalid value", r"(?=[\n,\]}#]|\Z)", "a value is missing", "expected a value",
     "write one, or take out what leads up to it"),
    ("Invalid value", r"\S+", "`{0}` is not a TOML value", "expected a value",
     'a value is a number, a "string", true, false, a [list] or a {{ table }}'),
    ("Expected newline", r",\d+", "`,` inside a number", "expected a point", "write 0.5, not 0,5"),
    ("Expected newline|Invalid statement", r"[\]}]", "`{0}` closes nothing", "",
     "take it out, or open the bracket before it"),
    ("Expected newline|Invalid statement", r"//|;|--|%|/\*", "`{0}` does not start a comment", "",
     "comments start with #"),
    ("Expected newline", r"""["'\w-]+(?=[ \t]*=)""", "two options on one line",
     "expected a new line before this", "give every option a line of its own"),
    ("Expected newline", r",", "`{0}` after a complete line", "expected the end of the line",
     "give every option a line of its own, without commas"),
    ("Expected newline", r"[^\s#]+", "`{0}` after a complete line",
     "expected the end of the line", "a string of several words needs quotes around it all"),
    ("Invalid (?:statement|initial)", r"", "a key is missing", "expected a key",
     'a key is made of letters, digits, - and _; any other goes in "quotes"'),
    ("Unclosed", r"[\]}]", "`{0}` does not close the open bracket", "expected {2}",
     "close brackets in turn, the last one first"),
    ("Unclosed", r"", "a comma is missing", "expected , before this", "put , between two elements"),
    (r"Expected '\]", r"", "a table header is not closed", "expected a closing ]",
     'write [name], or [[name]] for an element of an array; "two words" need quotes'),
]]  # fmt: skip

_Finding = tuple[int, int, str, str, str]  # start, end, message, note, help

_HIDDEN = re.compile(r"\A\ufeff|[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_UNSEEN = re.compile(
    r"[\x85\xa0\xad\u1680\u2000-\u200f\u2028\u2029\u202f\u205f-\u2064\u3000\ufeff]"
)
"""What looks like a blank or like nothing, and is neither: it may stand in strings and comments."""
_HUGE = re.compile(r"\d[\d_]{4299,}+")
_DEEP = re.compile(r"(?:[\[{][^\[\]{}]*+){300,}+|(?:[\w-]++\.){900,}+")
_HEADER = re.compile(r"\[\[?[\w.\" -]+\]\]?[ \t]*(?:#.*)?$", re.MULTILINE)
_NEXT_ELEMENT = re.compile(
    r"""[ \t]*(?:\]|(?:"[^"\n]*"|'[^'\n]*')[ \t]*(?:,|\]|#|$))""", re.MULTILINE
)
"""A line on which an array goes on or ends, which nothing inside a table looks like."""
_KEY = re.compile(r"""["'\w.-]+[ \t]*=""")
_GLUED, _GLUED_BEFORE = re.compile(r"[\w.+:-]"), re.compile(r"[\w.+:-]+\Z")


def describe_toml_error(file: str, text: str, error: Exception) -> Problem:
    """Return what is wrong with a text that tomli refused, that is no UTF-8, or reverses text."""
    doc = text.replace("\r\n", "\n")  # as tomli counts
    return _problem(file, doc, _explain(doc, error))


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
    next_element = innermost and not node.is_array and _NEXT_ELEMENT.match(doc, line_start)
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
