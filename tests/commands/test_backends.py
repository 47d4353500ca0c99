"""`--backend` on the command line, and what is said of backends that are there, or gone."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest

FAST = '''
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Backend

class Fast(Backend):
    """As NumPy does it."""
    type: Literal["fast"] = "fast"

    def fuse(self, steps, dtype, training):
        return steps

    def describe(self):
        return {"instruction set": "none"}

@hookimpl
def cnnkit_backends():
    return [Fast]
'''
NOTE = "note: cnnkit-fast 1.0 could compute it, too: --backend fast\n"


@pytest.fixture
def fast(site):
    site("cnnkit-fast", FAST)


def test_the_run_records_what_computed_it(call, tiny, tmp_path, fast):
    outcome = call("run", "tiny.toml", "--out", "run", "--backend", "fast")
    assert (outcome.code, NOTE in outcome.err) == (0, False)
    env = json.loads((tmp_path / "run" / "env.json").read_text())
    assert env["backend"] == {"type": "fast", "instruction set": "none"}
    assert env["plugins"]["backends/cnnkit-fast:fast"] == "cnnkit-fast 1.0"
    resolved = (tmp_path / "run" / "resolved.toml").read_text()
    assert '[train.backend]\ntype = "cnnkit-fast:fast"\n' in resolved


def test_being_installed_chooses_nothing(call, tiny, tmp_path, fast):
    outcome = call("run", "tiny.toml", "--out", "run")
    assert NOTE in outcome.err
    env = json.loads((tmp_path / "run" / "env.json").read_text())
    assert env["backend"] == {"type": "numpy"}


def test_a_run_outlives_its_backend(call, tiny, tmp_path, fast, monkeypatch):
    assert call("run", "tiny.toml", "--out", "run", "--backend", "fast").code == 0
    judged = call("evaluate", "run", "--json")
    assert (judged.code, judged.err) == (0, "")
    other = call("evaluate", "run", "--json", "--backend", "numpy")
    assert other.err == "note: the backend fast made this run, and numpy judges it\n"
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    without = call("evaluate", "run", "--json")
    assert (without.code, without.err, without.out) == (0, other.err, other.out)
    assert json.loads(without.out)["test"] == json.loads(judged.out)["test"]
    np.save("x.npy", np.zeros((1, 1, 8, 8), np.uint8))
    assert call("predict", "run", "x.npy").code == 0


def test_resuming_says_where_bits_may_differ(call, tiny, tmp_path, fast, monkeypatch):
    assert call("run", "tiny.toml", "--out", "run", "--backend", "fast").code == 0
    assert call("resume", "run", "--epochs", "3").err.count("WARNING") == 0
    fast_ = import_module("cnnkit_fast").Fast
    monkeypatch.setattr(fast_, "describe", lambda self: {"instruction set": "all"})
    assert (
        'WARNING: backend was {"type": "fast", "instruction set": "none"}, and is {"type": "fast", '
        '"instruction set": "all"}: the run goes on, but its bits will not be those of one that '
        "never stopped\n"
    ) in call("resume", "run", "--epochs", "4").err
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    gone = call("resume", "run", "--epochs", "5")
    assert gone.code == 2
    assert 'unknown backend type "cnnkit-fast:fast"' in gone.err


@pytest.mark.parametrize("verb", ["run", "evaluate", "predict"])
def test_a_backend_that_is_not_there(call, tiny, trained, verb):
    np.save("x.npy", np.zeros((1, 1, 8, 8), np.uint8))
    rest = {"run": ["tiny.toml", "--out", "run"], "evaluate": [str(trained)],
            "predict": [str(trained), "x.npy"]}[verb]  # fmt: skip
    outcome = call(verb, *rest, "--backend", "quick")
    assert (outcome.code, outcome.out) == (2, "")
    assert 'unknown backend type "quick"\n' in outcome.err
    more = "" if verb == "predict" else "; a file of your own is named with --plugin"
    assert outcome.err.rstrip().endswith(f"= help: installed backends: numpy{more}")


def test_the_doctor_names_all(call, fast):
    assert "fast of cnnkit-fast 1.0, instruction set none: --backend fast" in call("doctor").out
    assert json.loads(call("doctor", "--json").out)["backends"] == [
        {"type": "numpy", "from": "cnnkit 0.1.0"},
        {"type": "fast", "from": "cnnkit-fast 1.0", "instruction set": "none"},
    ]


def test_a_backend_that_the_doctor_cannot_use(call, site):
    site("cnnkit-fast", FAST.replace('{"instruction set": "none"}', "1 / 0"))
    [problem] = json.loads(call("doctor", "--json").out)["problems"]
    assert problem == {
        "severity": "warning",
        "what": "the backend fast of cnnkit-fast 1.0 cannot be used: ZeroDivisionError: division "
        "by zero",
        "fix": "pip install --force-reinstall cnnkit-fast",
    }
