"""R6: hostile specs: valid, or a SpecError with line and column; quick, small, and nothing else."""

from __future__ import annotations

import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from damage import DAMAGES

from cnnkit import load_spec
from cnnkit.errors import DataError, SpecError
from cnnkit.plugins import load_plugins
from cnnkit.registry import Registry
from cnnkit.stdout import visible

pytestmark = pytest.mark.reliability

SECONDS, MEMORY = 15.0, 300 * 2**20  # of a processor: what took minutes is far beyond that
SEEDS = sorted(
    path
    for folder in ("specs", "tests/diagnostics")
    for path in (Path(__file__).parents[2] / folder).glob("*.toml")
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNKIT_PLUGINS", "")
        return load_plugins()


@pytest.fixture
def judge(tmp_path, registry):
    """Load a text as a spec, in time and in memory, and hold what is said of it to the promise."""
    start, path = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, tmp_path / "spec.toml"

    def load(text: bytes, arguments: tuple[str, ...] = ()) -> str:
        """Return what is wrong with the spec, or nothing."""
        path.write_bytes(text)
        said = ""
        with at_most(SECONDS):
            try:
                load_spec(path, arguments, registry=registry)
            except SpecError as error:
                said = str(error)
                _check(error, path)
            except DataError as error:  # of files that it names
                said = str(error)
                assert re.search("^  --> /", said, flags=re.M)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) * 1024
        assert grown < MEMORY
        return said

    return load


class TooLong(BaseException):
    """Nobody catches this on the way."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TooLong once the block has taken so much time of a processor."""

    def stop(*_: object) -> NoReturn:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _check(error: SpecError, path: Path) -> None:
    said = str(error)
    assert said.startswith("error: ")
    assert visible(said, keep="\n") == said
    assert len(said) < 100_000
    placed = [problem for problem in error.problems if problem.line or problem.argument]
    told = set(re.findall(rf"--> {re.escape(str(path))}:(\d+):(\d+)$", said, flags=re.M))
    whole = "is larger than 1 MiB" in said or "spec is empty" in said
    assert whole or placed or told, said


HEAD = b'name = "x"\ndata = "digits"\nloss = "cross_entropy"\noptimizer = {type="sgd", lr=0.1}\n'
NET = b'[model]\nlayers = [{type="softmax", units=10}]\n'


def nest(count: int, head: str = '{type="residual", body=[', foot: str = "]}") -> bytes:
    inside = head * count + '"relu"' + foot * count
    return HEAD + f'[model]\nlayers = [{inside}, {{type="softmax", units=10}}]\n'.encode()


def layers(text: str) -> bytes:
    return HEAD + f'[model]\nlayers = [{text}, {{type="softmax", units=10}}]\n'.encode()


BY_HAND: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\t\n",
    "a comment": b"# nothing",
    "bytes": bytes(range(256)),
    "NUL": b"\0" * 1000,
    "UTF-16": "name = 'x'".encode("utf-16"),
    "BOM": b"\xef\xbb\xbf" + HEAD + NET,
    "half a character": HEAD + b"# \xe6\xa4",
    "JSON": b'{"name": "x"}',
    "YAML": b"name: x\ndata:\n  - digits\n",
    "XML": b"<spec/>",
    "a pickle": b"\x80\x04\x95\x0f\x00cos\nsystem\n.",
    "a mebibyte": b"#" * 2**20,
    "more than a mebibyte": b"#" * (2**20 + 1),
    "a line of a mebibyte": b"a" * (2**20 - 2),
    "open brackets": b"a = " + b"[" * 100_000,
    "brackets": b"a = " + b"[" * 60 + b"]" * 60,
    "many brackets": b"a = " + b"[" * 5000 + b"]" * 5000,
    "deep tables": b"a = " + b"{a=" * 5000 + b"1" + b"}" * 5000,
    "deep header": b"[" + b"a." * 5000 + b"a]\n",
    "deep key": b"a." * 5000 + b"a = 1",
    "many keys": b"".join(b"k%d = 1\n" % i for i in range(4_000)),
    "many sections": b"".join(b"[k%d]\n" % i for i in range(4_000)),
    "many arrays of tables": b"[[model.layers]]\n" * 4_000,
    "one key twice": HEAD * 2,
    "a long name": b'name = "' + b"x" * 500_000 + b'"\n' + HEAD[11:] + NET,
    "a long key": b"k" * 500_000 + b" = 1",
    "a long number": b"seed = " + b"9" * 500_000,
    "a long float": b"seed = 0." + b"9" * 500_000,
    "a path for a name": b'name = "../../etc"\n' + HEAD[11:] + NET,
    "digits of another script": "seed = \u0661".encode(),
    "bidi": HEAD + "# \u202e reversed\n".encode() + NET,
    "escape": HEAD.replace(b"x", b"\\u001b[2J") + NET,
    "nested 10": nest(10),
    "nested 100": nest(100),
    "nested 450": nest(450),
    "nested 5000": nest(5000),
    "sequential 450": nest(450, '{type="sequential", layers=['),
    "branches 40": nest(40, '{type="residual", shortcut=[], body=['),
    "4000 layers": layers(", ".join(['"relu"'] * 4000)),
    "4000 unknown layers": layers(", ".join(f'"relu{i}"' for i in range(4000))),
    "4000 times one unknown layer": layers(", ".join(['"rleu"'] * 4000)),
    "4000 wrong options": layers(", ".join(['{type="conv", filtres=3}'] * 4000)),
    "4000 unknown options": layers(
        '{type="relu", ' + ", ".join(f"a{i}=1" for i in range(4000)) + "}"
    ),
    "tables for types": HEAD.replace(b'"sgd"', b'{name="sgd"}') + NET.replace(b"}", b", x=1}"),
    "a type from a module": layers('"os:system"'),
    "a type with a path": layers('"../../evil"'),
    "a dunder": layers('{type="relu", __class__="x"}'),
    "model_config": layers('{type="relu", model_config={}}'),
    "a million filters": layers('{type="conv", filters=1000000, kernel=1}'),
    "a million filters inside": layers(
        '{type="residual", body=[{type="conv", filters=1000000, kernel=1}], shortcut=[]}'
    ),
    "huge units": layers('{type="dense", units=1000000000000}'),
    "huge kernel": layers('{type="conv", filters=1, kernel=1500, padding="same"}'),
    "huge padding": layers('{type="conv", filters=1, kernel=1, padding=60000, stride=60000}'),
    "huge dilation": layers('{type="conv", filters=1, kernel=2, dilation=100000000}'),
    "beyond 64 bits": layers('{type="dense", units=99999999999999999999999}'),
    "NaN": HEAD.replace(b"0.1", b"nan") + NET,
    "infinity": HEAD.replace(b"0.1", b"inf") + NET,
    "1e400": HEAD.replace(b"0.1", b"1e400") + NET,
    "10**30": HEAD.replace(b"0.1", b"1" + b"0" * 30) + NET,
    "a date": HEAD.replace(b"0.1", b"2020-01-01") + NET,
    "a huge batch": HEAD + NET + b"[train]\nbatch = 9223372036854775807\n",
    "a huge shard": HEAD + NET + b"[train]\nshard = 9223372036854775807\n",
    "a million threads": HEAD + NET + b"[train]\nthreads = 1000000\n",
    "huge input": HEAD + NET.replace(b"\n", b"\ninput = [1000000000, 1000000000, 3]\n", 1),
    "a device": HEAD.replace(b'"digits"', b'{type="npz", path="/dev/zero"}') + NET,
    "memory": HEAD.replace(b'"digits"', b'{type="npz", path="/proc/self/mem"}') + NET,
    "a folder of everything": HEAD.replace(b'"digits"', b'{type="image_folder", path="/proc"}')
    + NET,
    "NUL in a path": HEAD.replace(b'"digits"', b'{type="npz", path="a\\u0000b"}') + NET,
    "a chain of fallbacks": HEAD.replace(
        b'"digits"', b'{type="npz", path="x", fallback=' * 200 + b'"digits"' + b"}" * 200
    )
    + NET,
}
"""Written by hand: what people and programs have sent other readers of such files."""


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(cases, judge, name):
    for text in cases.of([BY_HAND[name]]):
        judge(text)


VALUES = (
    *("0", "1", "-1", "2", "3", "10", "0.1", "-0.0", "1e-300", "1e400", "nan", "-inf", "0x10"),
    *("9223372036854775807", "9223372036854775808", "1" + "0" * 30, "1_000", "true", "false"),
    *('""', '"same"', '"x"', '"\\u202e"', '"\\u0000"', "'''a\nb'''", '"' + "y" * 300 + '"'),
    *("[]", "[1]", "[3, 3]", "[[1]]", "[1, 2, 3]", '["relu"]', "[" * 30 + "]" * 30),
    *("{}", '{type = "relu"}', "1979-05-27", "07:32:00"),
)
"""Right for some option, wrong for most."""


RIGHT = {
    "filters": "3", "kernel": "3", "units": "10", "lr": "0.1", "size": "2", "epochs": "2",
    "batch": "8", "shard": "4", "threads": "1", "memory": "1.0", "shuffle": '"once"', "seed": "1",
    "name": '"x"', "padding": '"same"', "stride": "1", "kind": '"max"', "rate": "0.5",
    "bias": '"tied"', "path": '"small.npz"', "metrics": '["accuracy"]', "observers": "[]",
    "validation": "0.5", "only": "[1, 3]", "classes": '["a", "b"]', "layout": '"chw"',
    "input": "[1, 8, 8]", "momentum": "0.9", "dtype": '"float64"',
}  # fmt: skip
"""Right for the options of these names."""
SECTIONS = {"data": "datasets", "loss": "losses", "optimizer": "optimizers"}
INSIDE = {"init": "initializers", "bias_init": "initializers", "schedule": "schedules"}


class Writer:
    """Writes specs by the grammar that there is, and here and there around it."""

    def __init__(self, registry: Registry, rng: np.random.Generator) -> None:
        self._registry, self._rng = registry, rng
        self._wrong = self._pick((0, 0, 0.02, 0.1, 0.5))  # share of what is not as it should be

    def spec(self) -> str:
        """Return the text of one."""
        lines = [self._line(name) for name in ("name", *SECTIONS) if not self._is_wrong()]
        lines += [
            self._line(name) for name in ("seed", "metrics", "observers") if self._chance(0.3)
        ]
        lines += [self._line("nonsense")] * self._is_wrong()
        self._rng.shuffle(lines)
        lines += ["[model]", f"layers = {self._layers(0)}"]
        lines += [self._line("input")] * self._chance(0.3)
        settings = ("epochs", "batch", "shard", "threads", "memory", "shuffle")
        lines += ["[train]", *(self._line(name) for name in settings if self._chance(0.3))]
        return "\n".join(lines)

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _is_wrong(self) -> bool:
        return self._chance(self._wrong)

    def _pick(self, options: Any) -> Any:
        return options[int(self._rng.integers(len(options)))]

    def _line(self, name: str) -> str:
        if name in SECTIONS and not self._is_wrong():
            return f"{name} = {self._component(SECTIONS[name], 0)}"
        return f"{name} = {self._value(name)}"

    def _value(self, name: str) -> str:
        wrong = name not in RIGHT or self._is_wrong()
        return str(self._pick(VALUES)) if wrong else RIGHT[name]

    def _layers(self, depth: int) -> str:
        count = int(self._rng.integers(0, 5 if depth < 2 else 2))
        made = [self._component("layers", depth) for _ in range(count)]
        if depth == 0 and not self._is_wrong():
            made.append('{type = "softmax", units = 10}')
        return f"[{', '.join(made)}]"

    def _component(self, family: str, depth: int) -> str:
        kind = self._pick(self._registry.types(family))
        if family == "datasets" and self._chance(0.7):
            kind = "digits"  # which is there
        entry = self._registry.entry(family, kind)
        assert entry
        given = {"type": f'"{kind}"'} if not self._is_wrong() else {"type": self._pick(VALUES)}
        for name, option in entry.cls.model_fields.items():
            if name != "type" and (option.is_required() or self._chance(0.2)) != self._is_wrong():
                given[name] = self._option(name, depth)
        if self._is_wrong():
            given["nonsense"] = self._pick(VALUES)
        if len(given) == 1 and self._chance(0.7):
            return str(*given.values())
        return "{" + ", ".join(f"{name} = {value}" for name, value in given.items()) + "}"

    def _option(self, name: str, depth: int) -> str:
        if self._is_wrong() or depth > 3:
            return self._value(name)
        if name in ("body", "shortcut", "layers"):
            return self._layers(depth + 1)
        if name in INSIDE:
            return self._component(INSIDE[name], depth + 1)
        if name == "transforms":
            return f"[{self._component('transforms', depth + 1)}]"
        return self._component("datasets", depth + 1) if name == "fallback" else self._value(name)


def test_by_grammar(cases, judge, registry):
    valid = 0
    for case in cases(quick=900, full=18_000):
        valid += not judge(Writer(registry, case.rng).spec().encode())
    assert valid  # it is not all refused for one and the same reason


def edit(text: str, rng: np.random.Generator) -> str:
    """Return a text as it is after a slip of the fingers, or of a program."""
    lines = text.splitlines(keepends=True) or [""]
    line, place = int(rng.integers(len(lines))), int(rng.integers(len(text) + 1))
    other = SIGNS[int(rng.integers(len(SIGNS)))]
    match int(rng.integers(8)):
        case 0:
            return text[:place] + other + text[place:]
        case 1:
            return text[:place] + text[place + 1 :]
        case 2:
            return text[:place] + other + text[place + 1 :]
        case 3:
            del lines[line]
        case 4:
            lines.insert(line, lines[int(rng.integers(len(lines)))])
        case 5:
            lines[line] = "#" + lines[line]
        case 6:
            return re.sub(r"-?\d+(\.\d+)?", lambda _: VALUES[int(rng.integers(len(VALUES)))],
                          text, count=1)  # fmt: skip
        case 7:
            words = re.findall(r"\w+", text) or ["x"]
            a, b = (words[int(rng.integers(len(words)))] for _ in range(2))
            return text.replace(a, b, 1)
    return "".join(lines)


SIGNS = [*"=[]{}\"'#,.\n\t\r\\-+_0e \0\x7f\u00e9\u202e\ufeff\u2028", '"""', "[[", "]]", "\ud7ff"]


def test_real_ones_edited(cases, judge):
    valid = 0
    for case in cases(quick=700, full=14_000):
        text = SEEDS[int(case.rng.integers(len(SEEDS)))].read_text(errors="replace")
        for _ in range(int(case.rng.integers(1, 4))):
            text = edit(text, case.rng)
        valid += not judge(text.encode())
    assert valid


def test_real_ones_damaged(cases, judge):
    for case in cases(quick=200, full=4000):
        text = SEEDS[int(case.rng.integers(len(SEEDS)))].read_bytes().ljust(8)
        judge(DAMAGES[int(case.rng.integers(len(DAMAGES)))](bytearray(text), case.rng))


def test_arguments(cases, judge, registry):
    """Through `--set`, where a value may be anything and a key lead anywhere."""
    text = HEAD + NET
    keys = ("seed", "name", "data", "data.type", "optimizer.lr", "model.layers.0.units", "a.b.c",
            "model.layers.9", "model", "train.epochs", "", ".", "model.layers.-1", "a" * 500,
            "\x1b[2J", "model..layers", "loss.x.y", ".".join("a" * 200))  # fmt: skip
    for case in cases(quick=150, full=4000):
        key = keys[int(case.rng.integers(len(keys)))]
        judge(text, (f"{key}={VALUES[int(case.rng.integers(len(VALUES)))]}",))
