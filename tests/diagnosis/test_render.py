"""Problems as text: whole texts, and a message of our own for what tomli refuses."""

from __future__ import annotations

import json
import time

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnkit.diagnosis.problems import did_you_mean, render
from cnnkit.diagnosis.toml import describe_toml_error
from cnnkit.layers import cnnkit_layers
from cnnkit.source import Problem

SMALL = Problem(
    "layer 5 (conv) cannot cover its input: kernel 5 does not fit the 3x3 map",
    file="specs/small.toml",
    path=("model", "layers", 4, "kernel"),
    line=14,
    column=33,
    width=6,
    source_line='  { type = "conv", filters = 8, kernel = 5 },',
    note='expected kernel <= 3 with padding "valid"',
    trail="1 conv (6,12,12) -> 2 relu (6,12,12) -> 3 pool (6,6,6) -> 4 pool (6,3,3) -> 5 conv",
    help='use padding = "same", a smaller kernel, or drop a pool before it',
)


def show(problem: Problem) -> str:
    return "\n" + render([problem]) + "\n"


def test_every_part() -> None:
    assert (
        show(SMALL)
        == """
error: layer 5 (conv) cannot cover its input: kernel 5 does not fit the 3x3 map
  --> specs/small.toml:14:33
   |
14 |   { type = "conv", filters = 8, kernel = 5 },
   |                                 ^^^^^^ expected kernel <= 3 with padding "valid"
   = shapes: 1 conv (6,12,12) -> 2 relu (6,12,12) -> 3 pool (6,6,6) -> 4 pool (6,3,3) -> 5 conv
   = help: use padding = "same", a smaller kernel, or drop a pool before it
"""
    )


def test_parts_that_are_empty_leave_no_trace() -> None:
    assert (
        show(SMALL._replace(line=1000, note="", trail="", help=""))
        == """
error: layer 5 (conv) cannot cover its input: kernel 5 does not fit the 3x3 map
    --> specs/small.toml:1000:33
     |
1000 |   { type = "conv", filters = 8, kernel = 5 },
     |                                 ^^^^^^
"""
    )
    assert (
        show(Problem("no [model] table", file="a.toml", help="add one"))
        == """
error: no [model] table
 --> a.toml
  = help: add one
"""
    )
    assert render([Problem("no such thing")]) == "error: no such thing"
    assert render([]) == ""


def test_a_note_without_a_source_line_stays() -> None:
    assert (
        show(Problem("no", file="a.toml", line=3, column=1, note="expected yes"))
        == """
error: no
 --> a.toml:3:1
  = note: expected yes
"""
    )


def test_argument() -> None:
    text = "--set train.epochs=abc"
    problem = Problem("train.epochs is not a number", argument=text, column=20, width=3, note="abc")
    expected = """
error: train.epochs is not a number
 --> --set train.epochs=abc
  |
  | --set train.epochs=abc
  |                    ^^^ abc
"""
    assert show(problem) == expected
    assert show(problem._replace(file="a.toml", line=1, source_line=text)) == expected


def test_order_and_limit() -> None:
    places = [("b.toml", 1, 1), ("a.toml", 10, 1), ("a.toml", 9, 5), ("a.toml", 9, 4)]
    problems = [Problem(f"{file} {at}", file, (), at, col) for file, at, col in places]
    problems += [Problem("none", "b.toml"), Problem("last", argument="--set a=1")]
    texts = render(problems).split("\n\n")
    assert [text.splitlines()[-1].strip() for text in texts] == [
        "--> a.toml:9:4", "--> a.toml:9:5", "--> a.toml:10:1",
        "--> b.toml", "--> b.toml:1:1", "--> --set a=1",
    ]  # fmt: skip
    assert render(problems, limit=2) == (
        "error: a.toml 9\n --> a.toml:9:4\n\nerror: a.toml 9\n --> a.toml:9:5\n\n"
        "... and 4 more problems"
    )
    assert render(problems, limit=5).endswith("\n\n... and 1 more problem")
    assert render([SMALL] * 27).endswith("\n\n... and 7 more problems")
    assert render([SMALL] * 20).count("error: ") == 20


@pytest.mark.parametrize(
    ("source", "column", "width", "shown", "caret"),
    [
        ("\tk\t= 5", 2, 1, "    k    = 5", "    ^"),
        ("\tk\t= 5", 6, 1, "    k    = 5", "           ^"),
        ("'\u4e2d\u6587' = 5", 2, 2, "'\u4e2d\u6587' = 5", " ^^^^"),
        ("'\u4e2d\u6587' = 5", 8, 1, "'\u4e2d\u6587' = 5", "         ^"),
        ("'e\u0301' = 5", 7, 1, "'e\u0301' = 5", "     ^"),
        ("a = '\u202ex'", 6, 1, "a = '\\u202Ex'", "     ^^^^^^"),
        ("a = '\x1b[2Jx'", 10, 1, "a = '\\u001B[2Jx'", "              ^"),
        ("a = '\U000e0041x'", 7, 1, "a = '\\U000E0041x'", "               ^"),
        ("a =", 4, 1, "a =", "   ^"),
        ("a = ", 5, 1, "a =", "    ^"),
        ("a = 5", 99, 7, "a = 5", "     ^"),
        ("a = 5", 5, 99, "a = 5", "    ^"),
        ("a = 5", 1, 0, "a = 5", "^"),
        ("a = 5", -3, 1, "a = 5", "^"),
    ],
)
def test_caret(source: str, column: int, width: int, shown: str, caret: str) -> None:
    problem = Problem("no", "a.toml", (), 7, column, width, source)
    assert render([problem]).splitlines()[2:] == ["  |", f"7 | {shown}", f"  | {caret}"]


@pytest.mark.parametrize(
    ("column", "width", "shown", "caret"),
    [
        (1, 5, "<" + "0123456789" * 9 + "01...", "^^^^^"),
        (34, 3, "<" + "0123456789" * 9 + "01...", " " * 33 + "^^^"),
        (90, 4, "<" + "0123456789" * 9 + "01...", " " * 89 + "^^^^"),
        (91, 4, "..." + "0123456789" * 9 + "...", " " * 32 + "^^^^"),
        (101, 1, "..." + "0123456789" * 9 + "...", " " * 32 + "^"),
        (101, 500, "..." + "0123456789" * 9 + "...", " " * 32 + "^" * 61),
        (502, 1, "..." + ("0123456789" * 10)[8:] + ">", " " * 95 + "^"),
        (503, 1, "..." + ("0123456789" * 10)[8:] + ">", " " * 96 + "^"),
    ],
)
def test_long_line(column: int, width: int, shown: str, caret: str) -> None:
    source = "<" + "0123456789" * 50 + ">"
    lines = render([Problem("no", "a.toml", (), 7, column, width, source)]).splitlines()
    assert lines[3:] == [f"7 | {shown}", f"  | {caret}"]
    assert len(lines[3]) <= 100


@settings(max_examples=300, deadline=None)
@given(
    st.text("ab \t\u4e2d\u0301\x00\u202e", max_size=300),
    st.integers(1, 320),
    st.integers(0, 320),
    st.integers(1, 10**6),
)
def test_no_line_is_wide_and_the_caret_is_on_screen(
    source: str, column: int, width: int, line: int
) -> None:
    text = render([Problem("no", "a.toml", (), line, column, width, source)])
    assert "\t" not in text
    assert "\x00" not in text
    if source.strip():
        *_, shown, caret = text.splitlines()
        assert sum(1 + (c == "\u4e2d") - (c == "\u0301") for c in shown) <= 100
        assert "^" in caret
        assert len(caret) <= 101  # the end of a full line is one further


def test_hidden_characters_in_messages_show() -> None:
    problem = Problem("no \x1b[2J\n", "a\r.toml", note="\u202e", trail="\x00", help="\x7f")
    assert (
        show(problem)
        == """
error: no \\u001B[2J\\u000A
 --> a\\u000D.toml
  = note: \\u202E
  = shapes: \\u0000
  = help: \\u007F
"""
    )


def test_json() -> None:
    assert json.loads(json.dumps(SMALL.as_json())) == {
        "message": SMALL.message,
        "file": "specs/small.toml",
        "path": ["model", "layers", 4, "kernel"],
        "line": 14,
        "column": 33,
        "width": 6,
        "source_line": SMALL.source_line,
        "note": SMALL.note,
        "trail": SMALL.trail,
        "help": SMALL.help,
        "argument": None,
        "uses": [],
    }


LAYERS = [
    "batchnorm", "conv", "dense", "dropout", "flatten",
    "pool", "relu", "residual", "sigmoid", "softmax",
]  # fmt: skip
SYNONYMS = {
    "batchnorm": "bn norm normalization batchnormalization batchnorm1d batchnorm2d",
    **{own: words for cls in cnnkit_layers() for own, words in cls.synonyms.items()},
}
OPTIONS = [
    "batch", "bias", "epochs", "filters", "kernel", "lr",
    "momentum", "padding", "rate", "size", "stride", "units",
]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("convolution", "conv"), ("Conv2D", "conv"), ("CONV", "conv"), ("cnv", "conv"),
        ("con", "conv"), ("covn", "conv"), ("maxpool", "pool"), ("max_pool", "pool"),
        ("MaxPooling2D", "pool"), ("max-pooling", "pool"), ("pol", "pool"), ("linear", "dense"),
        ("fc", "dense"), ("fully_connected", "dense"), ("desne", "dense"), ("ReLU", "relu"),
        ("rleu", "relu"), ("reluu", "relu"), ("softmx", "softmax"), ("soft_max", "softmax"),
        ("batch_norm", "batchnorm"), ("bn", "batchnorm"), ("sigmiod", "sigmoid"),
        ("residule", "residual"), ("droput", "dropout"),
    ],
)  # fmt: skip
def test_layer_that_was_meant(word: str, meant: str) -> None:
    assert did_you_mean(word, LAYERS, SYNONYMS) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("learning_rate", "lr"), ("LR", "lr"), ("epoch", "epochs"), ("batch_size", "batch"),
        ("kernel_size", "kernel"), ("kernal", "kernel"), ("filter", "filters"),
        ("out_channels", "filters"), ("strides", "stride"), ("momemtum", "momentum"),
        ("pad", "padding"), ("neurons", "units"), ("unit", "units"), ("p", "rate"),
    ],
)  # fmt: skip
def test_option_that_was_meant(word: str, meant: str) -> None:
    assert did_you_mean(word, OPTIONS) == meant


@pytest.mark.parametrize(
    "word",
    ["", "x", "xyz", "foo", "potato", "attention", "lstm", "gelu", "elu", "selu", "conv3d",
     "conv1d", "tanh", "transformer", "sequential", "banana", "qwertyuiop", "_", "--", "r", "de",
     "\u4e2d\u6587", "conv" * 10_000],
)  # fmt: skip
def test_nonsense_means_nothing(word: str) -> None:
    assert did_you_mean(word, LAYERS, SYNONYMS) is None
    assert did_you_mean(word, [], SYNONYMS) is None


def test_a_synonym_helps_only_where_its_word_is_known() -> None:
    assert did_you_mean("linear", ["cosine", "step"], SYNONYMS) is None
    assert did_you_mean("linear", ["linears", "step"], SYNONYMS) == "linears"
    assert did_you_mean("adamw", ["adam", "sgd"]) is None
    assert did_you_mean("adma", ["adam", "sgd"]) == "adam"
    assert did_you_mean("sdg", ["adam", "sgd"]) == "sgd"


def test_choice_does_not_hang_on_the_order() -> None:
    assert did_you_mean("cat", ["car", "cab", "cap"]) == "cab"
    assert did_you_mean("cat", ["cap", "cab", "car"]) == "cab"


def explain(text: str, raw: bytes | None = None) -> str:
    with pytest.raises((ValueError, RecursionError)) as caught:
        tomli.loads(text if raw is None else raw.decode("utf-8"))
    assert caught.value is not None
    return show(describe_toml_error("a.toml", text, caught.value))


SYNTAX = {
    "words": (
        "batch size = 32",
        r"""
error: a key of several words needs quotes
 --> a.toml:1:7
  |
1 | batch size = 32
  |       ^^^^ expected =
  = help: write "two words" = value
""",
    ),
    "umlaut": (
        "gr\xf6\xdfe = 3",
        r"""
error: a key with `öß` needs quotes
 --> a.toml:1:3
  |
1 | größe = 3
  |   ^^
  = help: write "key" = value
""",
    ),
    "no key": (
        "= 3",
        r"""
error: a key is missing
 --> a.toml:1:1
  |
1 | = 3
  | ^ expected a key
  = help: a key is made of letters, digits, - and _; any other goes in "quotes"
""",
    ),
    "empty header": (
        "[]\n",
        r"""
error: a key is missing
 --> a.toml:1:2
  |
1 | []
  |  ^ expected a key
  = help: a key is made of letters, digits, - and _; any other goes in "quotes"
""",
    ),
    "open array at the end": (
        'layers = [\n  [1, 2],\n  "relu",\n',
        r"""
error: `[` is not closed
 --> a.toml:1:10
  |
1 | layers = [
  |          ^ expected a closing ]
  = help: a table inside an array is written { key = value }
""",
    ),
    "wrong bracket": (
        "input = [1, 28}",
        r"""
error: `}` does not close the open bracket
 --> a.toml:1:15
  |
1 | input = [1, 28}
  |               ^ expected ]
  = help: close brackets in turn, the last one first
""",
    ),
    "extra bracket": (
        'layers = ["relu"]]',
        r"""
error: `]` closes nothing
 --> a.toml:1:18
  |
1 | layers = ["relu"]]
  |                  ^
  = help: take it out, or open the bracket before it
""",
    ),
    "open literal": (
        "name = 'small\n",
        r"""
error: a string is not closed
 --> a.toml:1:8
  |
1 | name = 'small
  |        ^^^^^^ expected a closing '
  = help: a string of several lines goes between ''' and '''
""",
    ),
    "open text": (
        'seed = 1\nname = """small\nseed = 0\n',
        r'''
error: a string is not closed
 --> a.toml:2:8
  |
2 | name = """small
  |        ^^^^^^^^ expected a closing """
  = help: a string of several lines goes between """ and """
''',
    ),
    "complete": (
        'data = { type = "x" }\ndata.size = 3',
        r"""
error: `size` comes too late: what it belongs to is complete
 --> a.toml:2:6
  |
2 | data.size = 3
  |      ^^^^
  = help: write everything that a table holds in one place
""",
    ),
    "trailing": (
        'name = "a" b"',
        r"""
error: `b"` after a complete line
 --> a.toml:1:12
  |
1 | name = "a" b"
  |            ^^ expected the end of the line
  = help: a string of several words needs quotes around it all
""",
    ),
    "escape character": (
        "# \x1b[2J\n",
        r"""
error: a control character (U+001B) in the text
 --> a.toml:1:3
  |
1 | # \u001B[2J
  |   ^^^^^^
  = help: take it out
""",
    ),
}


@pytest.mark.parametrize("name", SYNTAX)
def test_syntax_error(name: str) -> None:
    text, expected = SYNTAX[name]
    assert explain(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("seed = null", "1:8+4", "TOML has no `null`; expected a value"),
        ("input = [1, , 28]", "1:13+1", "a value is missing; expected a value"),
        ("[optimizer]\nlr = .5", "2:6+2", "`.5` is not a TOML value; no such number or date"),
        ("kernel = [3x3]", "1:11+3", "`3x3` is not a TOML value; no such number or date"),
        ("data = {\"type\": \"digits\"}", "1:15+1", "`:` where TOML has `=`; expected ="),
        ("[model]\nlayers\n", "2:7+1", "a key without a value; expected = and a value"),
        ("layers = [\n  \"relu\"\nepochs = 3\n", "1:10+1",
         "`[` is not closed before line 3; expected a closing ]"),
        ("[data]\nfallback = { type = \"x\"\nbatch = 3\n", "2:12+1",
         "`{` is not closed before line 3; expected a closing }"),
        ("\"name = 3\n", "1:1+9", "a string is not closed; expected a closing \""),
        ("name = \"\\u12\"", "1:9+2", "a string with a wrong escape; not an escape"),
        ("data = { type = \"x\", type = \"y\" }", "1:22+4",
         "`type` is given twice; first given on line 1"),
        ("train = 3\ntrain.epochs = 3", "2:1+5", "`train` is given twice; first given on line 1"),
        ("a = \"\u202e\" \"\n", "1:6+1",
         "a character (U+202E) that reverses text, so that it reads as what it is not"),
        ("a = 2021-02-30", "1:5+10", "`2021-02-30` is not a TOML value; no such number or date"),
        ("seed = " + "9" * 5000, "1:8+5000", "a number of more than 4300 digits"),
    ],
)  # fmt: skip
def test_other_cases_of_what_the_corpus_has(text: str, place: str, said: str) -> None:
    with pytest.raises((ValueError, RecursionError)) as caught:
        tomli.loads(text)
    problem = describe_toml_error("a.toml", text, caught.value)
    assert f"{problem.line}:{problem.column}+{problem.width}" == place
    assert "; ".join(filter(None, [problem.message, problem.note])) == said


def test_text_that_is_not_utf8() -> None:
    raw = b'a = 1\r\nname = "caf\xe9"\r\n'
    assert (
        explain(raw.decode("utf-8", "replace"), raw)
        == """
error: the file is not UTF-8 text
 --> a.toml:2:12
  |
2 | name = "caf\ufffd"
  |            ^ byte 0xE9
  = help: save the file as UTF-8
"""
    )


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 500, "b = 1\na = " + "{a=" * 500, "a" + ".a" * 1200]
)
def test_nesting_that_is_too_deep(text: str) -> None:
    lines = explain(text).splitlines()
    assert lines[1] == "error: arrays, tables or keys nested too deeply"
    assert lines[2].startswith(" --> a.toml:2:5" if "b" in text else " --> a.toml:1:")
    assert lines[-1] == "  = help: nest fewer of them"


@pytest.mark.parametrize("error", [ValueError("odd"), RecursionError(), tomli.TOMLDecodeError])
def test_errors_that_name_no_place(error: Exception | type[tomli.TOMLDecodeError]) -> None:
    if isinstance(error, type):
        error = error("Something new", "a = 1\nb", 6)
    problem = describe_toml_error("a.toml", "a = 1\nb", error)
    assert problem.message
    assert problem.line is not None
    assert problem.column == 1


GOOD = """\
name = "small" # \u4e2d
[data]
type = 'digits'
fallback = { type = "digits", size = [1, 2.5] }
[[model.layers]]
type = \"\"\"
conv\"\"\"
[train]
epochs.first = 3
"""


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([GOOD, GOOD.replace("\n", "\r\n")]),
    st.integers(0, len(GOOD)),
    st.integers(0, 4),
    st.text("[]{}=.,:\"'#\\\n\r\ta1-_T\x00\ufeff\u202e\u00e9", max_size=4),
)
def test_every_slip_is_explained(good: str, at: int, cut: int, slip: str) -> None:
    text = good[:at] + slip + good[at + cut :]
    try:
        tomli.loads(text)
    except (ValueError, RecursionError) as error:
        problem = describe_toml_error("a.toml", text, error)
        lines = text.replace("\r\n", "\n").split("\n")
        assert problem.line is not None
        assert problem.column is not None
        assert problem.source_line == lines[problem.line - 1]
        assert 1 <= problem.column <= len(problem.source_line) + 1
        assert problem.width >= 1
        assert problem.message
        assert problem.help
        assert render([problem]).isprintable() or "\n" in render([problem])


@pytest.mark.parametrize(
    "text",
    ["[" * 2**20, "a = " + "[" * 2**20, "a = '" + "\\" * 2**20, 'a = "' + "\\u0041" * 2**17,
     "a = " + ("[" * 299 + "]" * 299 + ",") * 1700, "a = [" + "1," * 2**19, "\n" * 2**20 + "a",
     "a = " + "x" * 2**20, "a = 1" + "x" * 2**20, "a = " + "9" * 2**20, "a." * 2**19],
    ids=range(11),
)  # fmt: skip
def test_a_mebibyte_is_explained_in_a_moment(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)) as caught:
        tomli.loads(text)
    start = time.perf_counter()
    shown = render([describe_toml_error("a.toml", text, caught.value)])
    assert time.perf_counter() - start < 10  # below 0.6 s here
    assert len(shown) < 1000
