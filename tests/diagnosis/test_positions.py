"""`locate` against tomli: every path that tomli finds has a position, and the text stands there."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.diagnosis.source import Position, Positions, locate
from cnnkit.diagnosis.toml import Scanner
from cnnkit.source import KeyPath as Path

CASES = [
    # text, path, the key there, the value there up to the end of its first line
    ("a = 1", ("a",), "a", "1"),
    ("  a=-1.5e3#c", ("a",), "a", "-1.5e3"),
    ("\n\n# a = 1\n\ta\t=\t2 # c", ("a",), "a", "2"),
    ("train.epochs = 3", ("train",), "train", "train"),
    ("train.epochs = 3", ("train", "epochs"), "epochs", "3"),
    ("train . epochs = 3", ("train", "epochs"), "epochs", "3"),
    ("1.2 = 3", ("1", "2"), "2", "3"),
    ('"train.epochs" = 3', ("train.epochs",), '"train.epochs"', "3"),
    ("'a b'.\"c\\td\" = 3", ("a b", "c\td"), '"c\\td"', "3"),
    ('"\\x41\\u0042\\U00000043" = 3', ("ABC",), '"\\x41\\u0042\\U00000043"', "3"),
    ('"\\e\\"\\\\" = 3', ('\x1b"\\',), '"\\e\\"\\\\"', "3"),
    ("'' = 3", ("",), "''", "3"),
    ('"" = ""', ("",), '""', '""'),
    ("[data]\ntype = 'x'", ("data",), "data", "[data]"),
    ("[data]\ntype = 'x'", ("data", "type"), "type", "'x'"),
    ("[ a . 'b' ] # c", ("a",), "a", "a"),
    ("[ a . 'b' ] # c", ("a", "b"), "'b'", "[ a . 'b' ]"),
    ("[a.b]\n[a]\nc = 1", ("a",), "a", "[a]"),
    ("[a.b]\nd = 2\n[a]\nc = 1", ("a", "b", "d"), "d", "2"),
    ("[data]\nfallback = { type = 'x' }", ("data", "fallback", "type"), "type", "'x'"),
    ("[data.fallback]\ntype = 'x'", ("data", "fallback", "type"), "type", "'x'"),
    ("[[m.layers]]\nk = 1\n[[m.layers]]\nk = 2", ("m", "layers"), "layers", "[[m.layers]]"),
    ("[[m.layers]]\nk = 1\n[[m.layers]]\nk = 2", ("m", "layers", 1, "k"), "k", "2"),
    ("[[l]]\n[[l.body]]\nk = 1\n[l.body.w]\nz = 3", ("l", 0, "body", 0, "w", "z"), "z", "3"),
    ("[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nc = 2", ("a", 1, "b", "c"), "c", "2"),
    ("l = ['conv', { k = 1 }]", ("l", 0), "'conv'", "'conv'"),
    ("l = ['conv', { k = 1 }]", ("l", 1), "{ k = 1 }", "{ k = 1 }"),
    ("l = [\n  'conv', # [\n  { k = [ 1, [2] ] } , ]", ("l", 1, "k", 1, 0), "2", "2"),
    ("l = [\n  'conv',\n]", ("l",), "l", "["),
    ("l = [{\n k = 1, # }\n k2.z = 2,\n}, 3]", ("l", 0, "k2", "z"), "z", "2"),
    ("l = [{\n k = 1,\n}, 3]", ("l", 1), "3", "3"),
    ("l = [{\n k = 1,\n}, 3]", ("l", 0), "{", "{"),
    ("l = [[], {}, '', 1]", ("l", 3), "1", "1"),
    ("t = 1979-05-27 07:32:00.5+01:00 # c", ("t",), "t", "1979-05-27 07:32:00.5+01:00"),
    ("t = [1979-05-27 07:32,1979-05-27 ,07:32:00]", ("t", 0), *["1979-05-27 07:32"] * 2),
    ("t = [1979-05-27 07:32,1979-05-27 ,07:32:00]", ("t", 1), *["1979-05-27"] * 2),
    ("t = [1979-05-27T07:32Z,1979-05-27 ,07:32:00]", ("t", 2), *["07:32:00"] * 2),
    ('s = "a # \\" = [" # c', ("s",), "s", '"a # \\" = ["'),
    ("s = 'a # \\'", ("s",), "s", "'a # \\'"),
    ('s = """a\n"" ]\n""""\nb = 1', ("s",), "s", '"""a'),
    ('s = """a\n"" ]\n""""\nb = 1', ("b",), "b", "1"),
    ('s = """\\"" \\\n  """\nb = 1', ("b",), "b", "1"),
    ("s = ''''a'''''\nb = 1", ("s",), "s", "''''a'''''"),
    ("s = ''''''\nb = 1", ("b",), "b", "1"),
    ("a = 1\r\ns = '''\r\nx'''\r\nb = 2\r\n", ("s",), "s", "'''"),
    ("a = 1\r\ns = '''\r\nx'''\r\nb = 2\r\n", ("b",), "b", "2"),
    ("'\u00e4\u4e2d' = 1 # \u2028\nb = '\x85' # x", ("b",), "b", "'\x85'"),
    ("a = { '\U0001f600' = 1, b = inf }", ("a", "b"), "b", "inf"),
]  # fmt: skip


def lines_of(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def text_at(text: str, line: int, column: int, width: int) -> str:
    return lines_of(text)[line - 1][column - 1 : column - 1 + width]


def key_at(text: str, position: Position) -> str:
    return text_at(text, position.line, position.column, position.width)


def value_at(text: str, position: Position) -> str:
    return text_at(text, position.value_line, position.value_column, position.value_width)


def paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every path in a tree that tomli made, with what is there."""
    if path:
        yield path, value
    items = value.items() if isinstance(value, dict) else ()
    for step, held in enumerate(value) if isinstance(value, list) else items:
        yield from paths(held, (*path, step))


@pytest.mark.parametrize(("text", "path", "key", "value"), CASES)
def test_text_at_position(text: str, path: Path, key: str, value: str) -> None:
    assert path in dict(paths(tomli.loads(text)))
    position = locate(text)[path]
    assert key_at(text, position).partition("\n")[0] == key
    assert value_at(text, position) == value


def test_numbers() -> None:
    text = '[model]\n  layers = [\n    { type = "conv",\n      kernel = 5 },\n  ]\n'
    located = locate(text)
    assert located["model",] == Position(1, 2, 5, 1, 1, 7, 1)
    assert located["model", "layers"] == Position(2, 3, 6, 2, 12, 1, 5)
    assert located["model", "layers", 0] == Position(3, 5, 16, 3, 5, 16, 4)
    assert located["model", "layers", 0, "kernel"] == Position(4, 7, 6, 4, 16, 1, 4)
    assert set(located) == {path for path, _ in paths(tomli.loads(text))}
    assert len(located) == 5


def test_absent_paths() -> None:
    located = locate("a = [1, { b = 2 }]\n")
    for path in [(), ("b",), ("a", -1), ("a", 2), ("a", "0"), ("a", 0, "x"), ("a", 1, "b", 0)]:
        assert located.get(path) is None
    assert located.nearest(("a", 1, "c", "d")) == located["a", 1]
    assert located.nearest(("b", 0)) is None
    assert locate("").nearest(("a",)) is None


class Emitter:
    """Writes a tree as TOML in styles drawn at random."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.pick = random.choice

    def blank(self) -> str:
        return self.pick(["", "", " ", "\t", "  "])

    def comment(self) -> str:
        return self.pick(["", "", "#", "# ] } \" ''' = [x]", " # \u4e2d\u2028"])

    def gap(self) -> str:
        """What may stand between the elements of an array or an inline table."""
        return self.blank() + self.pick(["", "", "\n", f"{self.comment()}\n", "\n\n # c,\n"])

    def key(self, key: str) -> str:
        ways = [self.basic(key)]
        if re.fullmatch("[A-Za-z0-9_-]+", key):
            ways += [key] * 4
        if not re.search("['\x00-\x08\x0a-\x1f\x7f]", key):
            ways.append(f"'{key}'")
        return self.pick(ways)

    def basic(self, text: str) -> str:
        return '"' + "".join(map(self.char, text)) + '"'

    def char(self, char: str) -> str:
        if char in '"\\' or ord(char) < 32 or ord(char) == 127 or self.random.random() < 0.1:
            ways = [f"\\u{ord(char):04x}"] if ord(char) < 2**16 else [f"\\U{ord(char):08X}"]
            ways += [f"\\x{ord(char):02X}"] if ord(char) < 256 else []
            short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\x1b": "\\e", "\t": "\\t"}
            return self.pick([*ways, short.get(char, ways[0])])
        return char

    def string(self, text: str) -> str:
        ways = [self.basic(text)]
        plain = "".join(c if c == "\n" else self.char(c) for c in text)
        ways.append(f'"""\n{plain}"""')
        ways.append(f'"""{self.basic(text)[1:-1]}\\\n \n\t"""')
        if not re.search("[\x00-\x08\x0b-\x1f\x7f]", text):
            if "'''" not in text and not text.startswith("\n"):
                ways.append(f"'''{text}'''")
            if "'" not in text and "\n" not in text:
                ways.append(f"'{text}'")
        if not text.startswith("\n"):
            ways.append(f'"""{plain}"""')
        return self.pick(ways)

    def value(self, value: Any) -> str:
        if isinstance(value, str):
            return self.string(value)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, datetime.datetime):
            return value.isoformat(self.pick("tT "))
        if isinstance(value, datetime.date | datetime.time):
            return value.isoformat()
        if isinstance(value, dict):
            pairs = [self.pair([key], held) for key, held in value.items()]
            return "{" + self.elements(pairs) + "}"
        if isinstance(value, list):
            return "[" + self.elements([self.value(held) for held in value]) + "]"
        return str(value)

    def elements(self, texts: list[str]) -> str:
        joined = "".join(f"{self.gap()}{text}{self.gap()}," for text in texts)
        return (joined if self.random.random() < 0.5 else joined[:-1]) + self.gap()

    def pair(self, keys: list[str], value: Any) -> str:
        while isinstance(value, dict) and len(value) == 1 and self.random.random() < 0.5:
            key, value = next(iter(value.items()))
            keys = [*keys, key]
        return f"{self.dotted(keys)}{self.blank()}={self.blank()}{self.value(value)}"

    def dotted(self, keys: list[str]) -> str:
        return (
            "".join(f"{self.blank()}.{self.blank()}{self.key(key)}" for key in keys)
            .partition(".")[2]
            .lstrip(" \t")
        )

    def line(self, text: str) -> str:
        empty = self.pick(["", "", "\n", " \n", f"{self.comment()}\n"])
        return f"{empty}{self.blank()}{text}{self.blank()}{self.comment()}\n"

    def table(self, table: dict[str, Any], prefix: list[str]) -> str:
        """The pairs of a table, then the tables in it that get a header of their own."""
        own, later = "", ""
        for key, value in table.items():
            path = [*prefix, key]
            name = f"{self.blank()}{self.dotted(path)}{self.blank()}"
            tables = isinstance(value, list) and value and all(isinstance(v, dict) for v in value)
            if isinstance(value, dict) and value and self.random.random() < 0.2:
                own += "".join(self.line(self.pair([key, k], v)) for k, v in value.items())
            elif isinstance(value, dict) and self.random.random() < 0.6:
                later += self.line(f"[{name}]") + self.table(value, path)
            elif tables and self.random.random() < 0.6:
                later += "".join(self.line(f"[[{name}]]") + self.table(v, path) for v in value)
            else:
                own += self.line(self.pair([key], value))
        return own + later

    def document(self, tree: dict[str, Any]) -> str:
        text = self.table(tree, [])
        text = text if self.random.random() < 0.7 else text[:-1]
        return text if self.random.random() < 0.7 else text.replace("\n", "\r\n")


KEYS = st.sampled_from(
    ["a", "b", "layers", "1", "-", "a b", "\u00e9", "", "'", 'q"\\', "x.y", "\n"]
)
LEAVES = (
    st.integers(-99, 99)
    | st.booleans()
    | st.sampled_from([1.5, -0.25, 1e22])
    | st.text("ab'\"\\\n\t#]}=,\u4e2d\x1b\u2028", max_size=8)
    | st.datetimes(
        datetime.datetime(1000, 1, 1),
        timezones=st.sampled_from([None, datetime.UTC]),
    )
    | st.dates(datetime.date(1000, 1, 1))
    | st.times()
)
TREES = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_size=4,
)
DOCUMENTS = st.builds(
    lambda random, tree: Emitter(random).document(tree), st.randoms(use_true_random=False), TREES
)


def check_value(text: str, position: Position, value: Any) -> None:
    """The text at the position is this value, a header, or the key that alone makes the table."""
    first = value_at(text, position)
    start, end = (position.value_line, position.value_column), position.value_end_line
    if start < (position.line, position.column):
        assert re.fullmatch(r"\[.*\]", first)
    elif (
        (position.line, position.column) == start
        and not first.startswith(("[", "{"))
        and (isinstance(value, dict | list))
    ):
        assert first == key_at(text, position)
        assert end == start[0]
    elif end == start[0]:
        assert tomli.loads(f"x = {first}") == {"x": value}
    else:
        *whole, last = lines_of(text)[start[0] - 1 : end]
        whole[0] = whole[0][start[1] - 1 :]
        assert whole[0] == first
        ends = ("\n".join([*whole, last[:column]]) for column in range(len(last) + 1))
        assert any(parsed(f"x = {text}") == {"x": value} for text in ends)


def parsed(text: str) -> Any:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError:
        return None


def check_document(text: str, tree: dict[str, Any]) -> None:
    located = locate(text)
    expected = dict(paths(tree))
    assert set(located) == set(expected)
    for path, value in expected.items():
        position = located[path]
        if isinstance(path[-1], str):
            assert tomli.loads(f"{key_at(text, position)} = 0") == {path[-1]: 0}
        check_value(text, position, value)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
def test_every_path_of_a_random_document(text: str) -> None:
    tree = parsed(text)
    if tree is not None:  # a few styles clash: a dotted key and a header for the same table
        check_document(text, tree)


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False), TREES)
def test_the_emitter_writes_what_it_is_given(random: Random, tree: dict[str, Any]) -> None:
    assert tomli.loads(Emitter(random).document(tree)) == tree


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS, st.data())
def test_any_text_can_be_scanned(text: str, data: st.DataObject) -> None:
    """The start of a text, and a text with a slip, end the scanner without an exception."""
    at = data.draw(st.integers(0, len(text)))
    slip = data.draw(st.text("[]{}=.,\"'#\\\n a\r\x00", max_size=3))
    for broken in (text[:at], text[:at] + slip + text[at:], text[:at] + slip + text[at + 1 :]):
        tree = parsed(broken)
        assert isinstance(locate(broken), Positions)
        if tree is not None:
            assert set(locate(broken)) == {path for path, _ in paths(tree)}


def test_scanner_keeps_what_a_syntax_error_needs() -> None:
    assert [node.value for node in Scanner("a = [1, { b = [").open] == [4, 8, 14]
    assert Scanner('a = [1, "x').unclosed == 8
    assert Scanner("'a = 1").unclosed == 0
    assert Scanner("a = 1\nb = 2\na = { c = 3 }").again == (12, 13, 0)
    assert Scanner("[a.b]\n[a]\nc = 1").again is None


def test_deepest_nesting_that_tomli_takes() -> None:
    text = "a = " + "[{b=" * 200 + "1" + "}]" * 200
    assert tomli.loads(text)
    path: Path = ("a", *[0, "b"] * 200)
    assert locate(text)[path] == Position(1, 803, 1, 1, 805, 1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "a = [" + "1," * 2**19 + "]",
        "a = " + "[" * 390 + "{}," * 2**18 + "]" * 390,
        ".".join(["a"] * 999) + " = 1\n" + "\n" * 2**20,
        "[" + ".".join(["a"] * 999) + "]\n" + "".join(f"k{i} = 1\n" for i in range(2**16)),
        'a = """' + '""\\"' * 2**18 + '"""',
        "# x\n" * 2**18 + "a = 1",
        "a = [" + "#\n" * 2**18 + "]",
    ],
    ids=range(7),
)
def test_a_mebibyte_takes_a_moment(text: str) -> None:
    start = time.perf_counter()
    located = locate(text)
    assert time.perf_counter() - start < 10  # 0.3 s here; quadratic reading would take minutes
    assert ("a",) in located
