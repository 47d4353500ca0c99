"""How runs end that did not mean to: what is told, and what is noted in the log."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from cnnkit.base import DataPaths
from cnnkit.errors import RunError
from cnnkit.runs.session import Session
from cnnkit.specfile.load import load_spec
from cnnkit.workers import can_fork

SPEC = """
name = "small"
data = "digits"
model = { layers = ["relu", { type = "softmax", units = 10 }] }
loss = "cross_entropy"
optimizer = { type = "sgd", lr = 0.1 }
train = { epochs = 2, batch = 64, shard = 16, threads = 2 }
"""


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A run in tmp_path/run, and what is done after its first step."""
    monkeypatch.setenv("CNNKIT_PLUGINS", "")
    (tmp_path / "small.toml").write_text(SPEC)

    def watch(progress: object) -> None:
        while after:
            after.pop()()

    after: list = []
    spec = load_spec(tmp_path / "small.toml")
    return Session(spec, DataPaths(), out=tmp_path / "run", watch=watch), after


def test_a_run_whose_folder_is_removed_keeps_nothing(session, tmp_path):
    opened, _ = session

    def train() -> None:
        with opened as run:
            for _ in run.epochs():
                shutil.rmtree(tmp_path / "run")

    with pytest.raises(RunError, match=r"cannot \w+( to)? \S+/run/") as caught:
        train()
    notes = caught.value.__notes__
    assert f"   = note: {tmp_path}/run keeps nothing: it is gone" in notes
    assert not any("keeps the weights" in note for note in notes)


@pytest.mark.skipif(not can_fork(), reason="no worker processes here")
def test_a_worker_that_died_is_noted(session, tmp_path):
    opened, after = session
    with opened as run:
        processes = []

        def kill() -> None:
            [pid] = run._trainer._gradients._processes._pids
            os.kill(pid, signal.SIGKILL)
            processes.append(pid)

        after.append(kill)
        for _ in run.epochs():
            continue
        run.finish()
    assert (tmp_path / "run" / "log.txt").read_text() == (
        f"worker process {processes[0]} died; its share of each batch is done by this one\n"
    )
