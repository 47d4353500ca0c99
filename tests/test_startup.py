"""What the command imports, and does not: the time that a check takes is imports, mostly.

Measured so: medians of 20 runs of `cnnkit check specs/simple.toml`, in turns with 20 of `python -c
"import numpy, pydantic"`: at most 1.6 times as long.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = """
import sys
from cnnkit.__main__ import main
sys.argv = ["cnnkit", *sys.argv[1:]]
assert main() == 0
print(*sorted(sys.modules), file=sys.stderr)
"""


def imported(*arguments):
    """Return the modules that a command has imported."""
    process = subprocess.run(
        [sys.executable, "-c", CODE, *map(str, arguments)],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=120,
        env={**os.environ, "CNNKIT_PLUGINS": ""},
    )  # fmt: skip
    return process.stderr.splitlines()[-1].split()


def diagnosis(modules):
    return [name for name in modules if name.startswith("cnnkit.diagnosis")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "specs/simple.toml", "specs/residual.toml"],
        ["check", "specs/simple.toml", "--set", "train.epochs=5", "--set", "name=other"],
        ["check", "specs/simple.toml", "--set", "model.layers.0.init.type=he"],
        ["show", "specs/simple.toml"],
        ["layers", "conv"],
        ["schema"],
    ],
    ids=" ".join,
)
def test_diagnosis_is_imported_when_something_is_wrong(arguments):
    assert diagnosis(imported(*arguments)) == []


def test_a_run_and_what_follows_import_no_diagnosis(tmp_path):
    tiny, run = ROOT / "specs" / "tiny.toml", tmp_path / "run"
    assert diagnosis(imported("run", tiny, "--out", run, "--set", "train.epochs=1")) == []
    assert diagnosis(imported("evaluate", run)) == []
    assert diagnosis(imported("diff", tiny, run)) == []


def test_pages_are_made_where_one_is_written(tmp_path):
    tiny, run = ROOT / "specs" / "tiny.toml", tmp_path / "run"
    arguments = ["--out", run, "--set", "train.epochs=1"]
    pages = {"jinja2", "cnnkit.report.page"}
    assert pages & set(imported("run", tiny, *arguments, "--no-report")) == set()
    assert pages & set(imported("evaluate", run)) == set()
    assert pages < set(imported("report", run))


def test_what_a_check_can_do_without():
    heavy = {
        "cyclopts",  # reads command lines that are not plain
        "rich",  # colours and aligns
        "importlib.metadata", "email",  # read metadata, of which plugins.py reads what it needs
        "numpy.random", "numpy.ma", "numpy.testing",
        "safetensors", "zipfile", "gzip", "csv", "packaging", "pooch", "threadpoolctl", "PIL",
        "jinja2",
        "cnnkit.model", "cnnkit.engine", "cnnkit.testing", "cnnkit.scaffold",
        "cnnkit.files.tensors", "difflib", "multiprocessing", "concurrent.futures",
    }  # fmt: skip
    assert heavy & set(imported("check", "specs/simple.toml")) == set()


ENDS = """
import atexit, sys
from cnnkit.__main__ import command
atexit.register(print, "bye")
sys.argv = ["cnnkit", "check", *sys.argv[1:]]
command()
"""


@pytest.mark.parametrize(("spec", "code"), [("specs/tiny.toml", 0), ("nowhere.toml", 2)])
def test_the_process_ends_whole(spec, code):
    """What was registered for the end is done, and what was printed is written."""
    process = subprocess.run(
        [sys.executable, "-c", ENDS, spec],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert process.returncode == code
    assert process.stdout.splitlines()[-1] == "bye"
    assert ("nowhere.toml" in process.stderr) == bool(code)
