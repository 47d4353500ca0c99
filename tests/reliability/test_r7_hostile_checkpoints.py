"""R7: hostile checkpoints, their seals right: refused or harmless; nothing is imported, run, opened
or fetched on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.reliability


def test_under_an_audit_hook(cases, nursery, write_spec, tmp_path, request):
    [ended] = nursery.run(tmp_path, "run", write_spec(epochs=1), "--out", "run")
    assert ended.code == 0, ended.err
    good = tmp_path / "run" / "checkpoints" / "last.safetensors"
    (tmp_path / "empty").mkdir()
    script, count = Path(__file__).with_name("watched.py"), 20_000 if cases.full else 1000
    seed = request.config.getoption("--seed")
    done = subprocess.run(
        [sys.executable, script, good, str(seed), str(count)],
        cwd=tmp_path / "empty", env={**os.environ, "CNNKIT_PLUGINS": ""},
        capture_output=True, text=True, check=False, timeout=290,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    cases.count(count, found["passed"])
    assert found == {"passed": count, "faults": [], "left": []}
