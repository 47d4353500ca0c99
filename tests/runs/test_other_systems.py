"""Other systems, simulated: what Windows and macOS do not have is not missed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnkit import load_spec, train

SPEC = """
name = "small"
[data]
type = "digits"
[model]
layers = ["flatten", { type = "softmax", units = 10 }]
[loss]
type = "cross_entropy"
[optimizer]
type = "sgd"
lr = 0.1
[train]
epochs = 1
threads = 2
"""
RUN = """
import importlib.metadata, json, numpy, os, pathlib, pluggy, rich.console, sys, threadpoolctl, types
import safetensors.numpy, tempfile, tomli
from pydantic import BaseModel
threadpoolctl.ThreadpoolController()  # finds the libraries of the real system
locked = []
{before}
import cnnkit
run = cnnkit.train(cnnkit.load_spec("small.toml"), out="run")
held = cnnkit.runs.directory.StoredRun(pathlib.Path("run"))
print(json.dumps([run.summary["weights_sha256"], len(locked), sorted(os.listdir("run"))]))
"""
WINDOWS = """
def locking(handle, mode, size):
    locked.append(handle)
sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
for name in ("fcntl", "resource", "grp", "pwd"):
    sys.modules[name] = None  # importing it fails
for name in ("fork", "O_DIRECTORY", "sched_getaffinity", "kill", "mkfifo", "geteuid", "chown"):
    if hasattr(os, name):
        delattr(os, name)
sys.platform = "win32"
"""
MACOS = """
import fcntl
def full_sync(handle, command):
    locked.append(command)
fcntl.fcntl, fcntl.F_FULLFSYNC = full_sync, 51
del os.sched_getaffinity
sys.platform = "darwin"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="takes Linux for the other systems")
@pytest.mark.parametrize("system", [WINDOWS, MACOS], ids=["windows", "macos"])
def test_a_run_misses_nothing_that_other_systems_lack(monkeypatch, tmp_path, system):
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(SPEC)
    code = RUN.format(before=system)
    plugins = {**os.environ, "CNNKIT_PLUGINS": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=plugins, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    sha256, used, files = json.loads(done.stdout)
    assert used > 0
    expected = train(load_spec("small.toml"), out="expected")
    assert sha256 == expected.summary["weights_sha256"]
    there = {file.name for file in Path("expected").iterdir()}
    assert set(files) - {".lock"} == there - {".lock"}
