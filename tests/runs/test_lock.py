"""Lock: one writer, named to the others; a killed holder leaves nothing in the way."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnnkit.errors import RunError
from cnnkit.runs.directory import Lock

HOLD = """
import sys
from pathlib import Path
from cnnkit.runs.directory import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
CONTEND = """
import sys
from pathlib import Path
from cnnkit.errors import RunError
from cnnkit.runs.directory import RunDirectory
sys.stdin.readline()
try:
    run = RunDirectory.create("x", out=Path(sys.argv[1]))
except RunError as error:
    print(error, flush=True)
else:
    print("won", flush=True)
sys.stdin.read()
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], **pipes)


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that holds the lock."""
    with start(HOLD, folder) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_file_says_who_holds_it_and_goes_with_the_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    text = (tmp_path / ".lock").read_text()
    start = f"process {os.getpid()} on {re.escape(socket.gethostname())} since "
    assert re.fullmatch(start + r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\n", text)
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        since = (tmp_path / ".lock").read_text().split(" since ")[1].strip()
        with pytest.raises(RunError) as caught:
            Lock(tmp_path)
        assert str(caught.value) == (
            f"run directory {tmp_path} is in use by process {process.pid} "
            f"on {socket.gethostname()} since {since}; "
            "wait until it ends, or choose another --out"
        )
        assert (tmp_path / ".lock").exists()


def test_one_process_cannot_take_it_twice(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(RunError, match=f"in use by process {os.getpid()} on "):
        Lock(tmp_path)
    lock.release()
    Lock(tmp_path).release()


@pytest.mark.reliability
def test_a_killed_holder_is_no_obstacle(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
    assert (tmp_path / ".lock").exists()
    lock = Lock(tmp_path)
    assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    lock.release()


def test_a_foreign_or_older_text_decides_nothing(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("process 1 on another-host since 2020-01-01T00:00:00+00:00\n")
    lock = Lock(tmp_path)
    assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
    lock.release()


def test_a_lock_file_removed_by_its_holder_is_not_taken_for_a_lock(tmp_path, monkeypatch) -> None:
    import fcntl

    real, calls = fcntl.flock, []

    def remove_first(file, how) -> None:  # as if the holder ended between open and flock
        if not calls:
            (tmp_path / ".lock").unlink()
        calls.append(how)
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    lock = Lock(tmp_path)
    assert len(calls) == 2
    with pytest.raises(RunError, match="is in use by process"):
        Lock(tmp_path)
    lock.release()


@pytest.mark.reliability
def test_of_many_processes_one_wins_and_the_others_name_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    processes = [start(CONTEND, out) for _ in range(4)]
    try:
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.stdout.readline() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert answers.count("won\n") == 1
    winner = processes[answers.index("won\n")].pid
    named = [answer for answer in answers if f"is in use by process {winner} on " in answer]
    assert len(named) == 3, answers


def test_no_folder_to_lock(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        Lock(tmp_path / "none")
    path = tmp_path / "none" / ".lock"
    assert str(caught.value) == f"cannot lock {path}: No such file or directory"
