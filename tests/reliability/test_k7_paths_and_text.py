"""K7: text as editors and systems leave it: no raw control character reaches the terminal, a path
is read as it was meant, and equal problems are one."""

# ruff: noqa: E501  # a case is a line

from __future__ import annotations

import re

import numpy as np
import pytest
from inputs import arrays, spec

pytestmark = pytest.mark.reliability
DIGITS = 'type = "digits"'
ONE = re.compile(r"^error: ", re.MULTILINE)
EDITS = {  # what is replaced, by what; what is said; how many problems
    "a tab in a path": (DIGITS, 'type = "npz"\npath = "C:\\temp\\new.npz"', "path without control characters.*\n.*:5:8", 1),
    "a return in a path": (DIGITS, 'type = "npz"\npath = "a\\rb.npz"', "path without control characters", 1),
    "an escape in a path": (DIGITS, 'type = "npz"\npath = "\\u001b[31m"', "path without control characters", 1),
    "an escape in a class": (DIGITS, DIGITS + '\nonly = ["\\u001b[31m", 3]', r"only names class .\\x1b\[31m., which digits does not have", 2),
    "an escape in a type": (DIGITS, 'type = "\\u001b[31m"', "unknown dataset type", 1),
    "an escape in a name": ('"case"', '"a\\u001b[31m"', "name must be at most 64 letters", 1),
    "a C1 character": ('"case"', '"a\\u009b31m"', "name must be at most 64 letters", 1),
    "text turned round": ('"case"', '"a\u202eb"', "reverses text", 1),
    "a blank that is none": ("lr =", "lr\u00a0=", "a blank is a plain space|U\\+00A0", 1),
    "40 options alike": ('"relu"', ", ".join(['{ type = "relu", slope = 3 }'] * 40), "and in 39 more places", 1),
    "18 types alike": ('"relu"', ", ".join(['"batchnorm"'] * 18), "and in 17 more places", 1),
    "30 types": ('"relu"', ", ".join(f'"foo{n}"' for n in range(30)), "and 10 more", 20),
}  # fmt: skip


def test_specs(cases, tmp_path, call):
    for name in cases.of(EDITS):
        old, new, said, problems = EDITS[name]
        path = spec(tmp_path, DIGITS)
        path.write_text(path.read_text().replace(old, new), encoding="utf-8")
        code, error = call("run", path, "--out", tmp_path / "run")
        cases.judge(code, error, said)
        assert len(ONE.findall(error)) == problems, error
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", error), ascii(error)


ENCODINGS = {"utf-16": "utf-16", "utf-8 with a mark": "utf-8-sig", "latin-1": "latin-1"}


def test_encodings(cases, tmp_path, call):
    for name in cases.of(ENCODINGS):
        path = spec(tmp_path, DIGITS)
        text = path.read_text().replace('"case"', '"case"  # f\u00fcr')
        path.write_bytes(text.encode(ENCODINGS[name]))
        code, error = call("run", path, "--out", tmp_path / name)

        def follow(path=path, text=text, out=tmp_path / f"{name} mended"):
            path.write_text(text, encoding="utf-8")
            return call("run", path, "--out", out)[0] == 0

        cases.judge(code, error, "save (the file|it) as UTF-8", follow)


PATHS = {
    "the home folder": "~/data.npz",
    "blanks and letters": "meine Daten \u00e4 \u4e2d/data.npz",
    "dots": "../{here}/./data.npz",
    "backslashes, here": "a\\b.npz",
    "like an option": "--help.npz",
    "percent and dollar": "%HOME%$HOME.npz",
}


def test_paths(cases, tmp_path, call, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in cases.of(PATHS):
        written = PATHS[name].format(here=tmp_path.name)
        file = tmp_path / "home" / written[2:] if written[0] == "~" else tmp_path / written
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **arrays())
        path = spec(tmp_path, f"type = \"npz\"\npath = '{written}'")
        code, error = call("run", path, "--quiet", "--out", tmp_path / f"run {name}")
        cases.judge(code, error, "^$")
