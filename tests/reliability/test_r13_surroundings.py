"""R13: locales, encodings, streams that are closed or full, narrow terminals, clocks set back: the
same weights, no traceback and no UnicodeEncodeError."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

pytestmark = pytest.mark.reliability

LOCALES = ["C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8", "de_DE.ISO-8859-1", "nonsense", ""]
ENCODINGS = ["", "ascii", "cp1252", "utf-16", "ascii:strict"]
STREAMS = ["closed", "closed both", "full", "full both", "head", "head of news", "a terminal"]


@pytest.fixture
def spec(write_spec) -> Path:
    """A spec with a name that no old encoding has."""
    return write_spec("größe→検.toml", epochs=1, old="epochs", new="# größe → 検 ı İ\nepochs")


@pytest.fixture
def sha256(nursery, spec, tmp_path) -> str:
    """Of the weights that it gives here."""
    [ended] = nursery.run(tmp_path, "run", spec, "--out", "here")
    assert ended.code == 0, ended.err
    return weights(tmp_path / "here")


def weights(run: Path) -> str:
    summary = json.loads((run / "summary.json").read_bytes())
    return str(summary["weights_sha256"])


def command(spec: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "cnnkit", "run", str(spec), "--out", str(out)]


def quiet(text: str) -> bool:
    """Tell if nothing went wrong by the looks of it."""
    return not any(word in text for word in ("Traceback", "UnicodeEncodeError", "Exception"))


def test_locales_and_encodings(cases, spec, sha256, tmp_path):
    rows = list(product(LOCALES, ENCODINGS))
    for number, (locale, encoding) in enumerate(cases.of(rows, quick=5)):
        names = {"LC_ALL": locale, "LANG": locale, "PYTHONIOENCODING": encoding, "LANGUAGE": locale}
        done = subprocess.run(
            command(spec, tmp_path / f"run-{number}"), capture_output=True, check=False, timeout=60,
            env={**os.environ, **names, "COLUMNS": "20" if number % 2 else "200"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert quiet(done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace"))
        assert weights(tmp_path / f"run-{number}") == sha256


SHELL = {
    "closed": '"$@" >&-',
    "closed both": '"$@" >&- 2>&-',
    "no input": '"$@" <&-',
    "full both": '"$@" >/dev/full 2>/dev/full',
    "full": '"$@" >/dev/full',
    "head": '"$@" | head -1',
    "head of news": '"$@" 2>&1 >/dev/null | head -1',
    "head of nothing": '"$@" | true',
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_streams(cases, spec, sha256, tmp_path):
    for number, (name, line) in enumerate(cases.of(SHELL.items(), quick=4)):
        out = tmp_path / f"run-{number}"
        done = subprocess.run(
            ["sh", "-c", line, "sh", *command(spec, out)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert quiet(done.stdout + done.stderr), done
        assert done.returncode == (2 if name in ("full", "full both") else 0), done
        assert weights(out) == sha256  # what cannot be told is there all the same


SET_BACK = """
import time, datetime
now = [2e9, 1e9, 0.0, -1e6, 4e9]
def wander():
    now.append(now.pop(0))
    return now[-1]
time.time = wander
time.time_ns = lambda: int(wander() * 1e9)
class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(abs(wander()), tz)
import cnnkit.runs.directory as directory
directory.datetime = Clock
"""


def test_clocks(cases, nursery, spec, sha256, tmp_path):
    """One that jumps back and forth, in any zone."""
    zones = ["", "UTC", "Asia/Kathmandu", "nonsense"]
    for number, zone in enumerate(cases.of(zones, quick=1)):
        before = f"import os\nos.environ['TZ'] = {zone!r}\n{SET_BACK}time.tzset()\n"
        arguments = ["--out", f"run-{number}"] if number else []
        [ended] = nursery.run(tmp_path, "run", spec, *arguments, before=before)
        assert ended.code == 0, ended.err
        run = tmp_path / Path(ended.out.splitlines()[-1]).parent
        assert weights(run) == sha256


def test_widths_and_terminals(cases, nursery, spec, sha256, tmp_path):
    """As a terminal would be told, of any width and kind."""
    rows = list(product(["1", "20", "0", "-5", "x", "99999"], ["", "dumb", "xterm-256color"]))
    for number, (columns, term) in enumerate(cases.of(rows, quick=4)):
        before = f"""
import os
os.environ.update(COLUMNS={columns!r}, TERM={term!r}, FORCE_COLOR="1", TTY_COMPATIBLE="1")
"""
        [ended] = nursery.run(
            tmp_path, "run", spec, "--out", f"run-{number}", before=before * (number % 3 > 0)
        )
        assert ended.code == 0, ended.err
        assert quiet(ended.err)
        assert weights(tmp_path / f"run-{number}") == sha256
        [judged] = nursery.run(tmp_path, "evaluate", f"run-{number}", before=before)
        assert judged.code == 0, judged.err
