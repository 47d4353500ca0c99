"""What the reliability tests share: cases drawn from a seed, a table of them, and processes."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))  # the modules that lie beside these tests

from nursery import Nursery

from cnnkit.cli import main
from cnnkit.plugins import load_plugins

TABLE = {
    "K1": "the range of pixel values",
    "K2": "a plugin's word",
    "K3": "who is blamed",
    "K4": "help, when followed",
    "K5": "left out or changed",
    "K6": "a run that cannot be meant",
    "K7": "paths and text",
    "K8": "data in the usual forms",
    "R1": "killed at any moment, and resumed",
    "R2": "every system call of a save fails in turn",
    "R3": "full disk",
    "R4": "damaged checkpoints",
    "R5": "damaged data",
    "R6": "hostile specs",
    "R7": "hostile checkpoints, watched",
    "R8": "broken plugins",
    "R9": "NaN and infinity",
    "R10": "interrupts",
    "R11": "several processes in one place",
    "R12": "odd places",
    "R13": "locales, streams, widths, clocks",
    "R14": "repeatable bits",
    "R15": "leaks",
    "R16": "global settings",
    "R17": "pages",
}
ENTRIES: dict[str, list[int]] = {}
"""Cases begun and cases passed, by id; and those that were silent, and that blamed another."""


@dataclass(frozen=True)
class Case:
    """One case: `rng` depends on the test, the seed and the number alone."""

    number: int
    rng: np.random.Generator


class Cases:
    """Counts the cases of one test: `for case in cases(quick=20, full=400): ...`.

    A case has passed when its block has come to its end.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.full: bool = request.config.getoption("--full")
        self._seed: int = request.config.getoption("--seed")
        self._id = Path(request.node.path).name.split("_")[1].upper()  # test_r3_full_disk.py
        self._salt = list(request.node.nodeid.encode())
        self.now = ""
        self.whole = False
        """Whether the test itself is one case."""

    def __call__(self, quick: int, full: int) -> Iterator[Case]:
        """Yield as many cases as the tier wants."""
        for number in range(full if self.full else quick):
            self.now = f"case {number} of seed {self._seed}"
            self.count(begun=1)
            yield Case(number, np.random.default_rng([self._seed, number, *self._salt]))
            self.count(passed=1)

    def of(self, rows: Any, quick: int | None = None) -> Iterator[Any]:
        """Yield rows of a list, each a case: all of them, or `quick` of them spread over it."""
        rows = list(rows)
        if not self.full and quick is not None and quick < len(rows):
            rows = [rows[i * len(rows) // quick] for i in range(quick)]
        for row in rows:
            self.now = f"case {str(row)[:200]}"
            self.count(begun=1)
            yield row
            self.count(passed=1)

    def count(self, begun: int = 0, passed: int = 0, silent: int = 0, misblamed: int = 0) -> None:
        """Enter cases that were made elsewhere."""
        entry = ENTRIES.setdefault(self._id, [0, 0, 0, 0])
        for place, number in enumerate((begun, passed, silent, misblamed)):
            entry[place] += number

    def judge(
        self,
        code: int,
        said: str,
        names: str,
        follow: Callable[[], object] | None = None,
        spares: str = "(?!)",
    ) -> None:
        """Judge what a command said of an input.

        It was silent where it ended well without a word of what `names` matches: what is at fault,
        or was changed. It blamed another where it did not end well, and the word is missing or
        `spares` matches, or it took the blame itself. A case that fails otherwise was unhelpful.

        Args:
            names: a pattern; "" where there is nothing to say.
            follow: does what the help says; returns whether it came to a right end.
        """
        named = re.search(names, said) is not None
        silent = code == 0 and not named
        ours = code == 101 or "bug in cnnkit" in said or "Traceback" in said
        misblamed = ours or re.search(spares, said) is not None or (code != 0 and not named)
        self.count(silent=silent, misblamed=misblamed and not silent)
        told = f"exit {code}, expected {names!r}:\n{said}"
        assert not silent, told
        assert not misblamed, told
        assert follow is None or follow(), f"the help leads to no right end: {told}"


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Cases:
    """The cases of this test, in as many as the tier wants."""
    request.node.reliability_cases = made = Cases(request)
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Say in a failure which case it was, so that it can be repeated."""
    report = yield
    made = getattr(item, "reliability_cases", None)
    if made is not None and made.whole and report.when == "call":
        made.count(begun=1, passed=report.passed)
    if report.failed and made is not None:
        report.sections.append(("reliability", made.now))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if not ENTRIES:
        return
    config = terminalreporter.config
    tier = "full" if config.getoption("--full") else "quick"
    terminalreporter.section(f"reliability, {tier} tier, seed {config.getoption('--seed')}")
    _print(terminalreporter, "kind", ("inputs", "silent", "misblamed", "unhelpful"), {
        key: (begun, silent, misblamed, begun - passed - silent - misblamed)
        for key, (begun, passed, silent, misblamed) in ENTRIES.items() if key.startswith("K")
    })  # fmt: skip
    _print(terminalreporter, "id", ("cases", "passed"), {
        key: entry[:2] for key, entry in ENTRIES.items() if not key.startswith("K")
    })  # fmt: skip


def _print(
    reporter: pytest.TerminalReporter, id: str, columns: Sequence[str], rows: dict[str, Any]
) -> None:
    if rows:
        reporter.line(f"{id:4} {' '.join(f'{one:>9}' for one in columns)}  what")
    for key in (key for key in TABLE if key in rows):
        reporter.line(f"{key:4} {' '.join(f'{n:9}' for n in rows[key])}  {TABLE[key]}")


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Run the command where no plugin is installed; return exit code and stderr."""
    monkeypatch.setenv("CNNKIT_PLUGINS", "")

    def run(*arguments: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # which the command tells in a line
            code = main([str(one) for one in arguments])
        return code, capsys.readouterr().err

    return run


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """A process that has imported cnnkit, and makes children of itself."""
    with Nursery() as made:
        yield made


@pytest.fixture(params=["numpy", "native"])
def backend(request: pytest.FixtureRequest) -> str:
    """What computes, each where it is installed."""
    name = str(request.param)
    if not load_plugins().claims("backends", name):
        pytest.skip(f"the backend {name} is not installed: pip install cnnkit-{name}")
    return name


SPEC = """\
name = "small"
[data]
type = "digits"
[model]
layers = [
  {{ type = "conv", filters = 4, kernel = 3, padding = "same" }},
  "relu",
  {{ type = "pool", size = 2 }},
  {{ type = "softmax", units = 10 }},
]
[loss]
type = "cross_entropy"
[optimizer]
type = "adam"
lr = 0.01
[train]
epochs = {epochs}
threads = {threads}
"""


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[..., Path]:
    """Write a spec that trains in a tenth of a second an epoch."""

    def write(
        name: str = "small.toml", epochs: int = 2, threads: int = 1, old: str = "", new: str = ""
    ) -> Path:
        text = SPEC.format(epochs=epochs, threads=threads)
        assert old in text
        text = text.replace(old, new) if old else text
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write
