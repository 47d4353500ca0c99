"""What tomli's refusals look like in a text, and what to say about each."""

from __future__ import annotations

import re

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
     "leave the option out to get its default"),
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
