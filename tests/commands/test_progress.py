"""The progress bar, on a made-up terminal and with a made-up clock."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from cnnkit.commands import run
from cnnkit.commands.run import EpochBar
from cnnkit.engine.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock to set: `clock[0] = 5.0`."""
    now = [0.0]
    monkeypatch.setattr(run, "perf_counter", lambda: now[0])
    return now


def drawn(screen: Console) -> list[str]:
    """Return what was drawn, without colours and cursor moves."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\r", screen.file.getvalue())
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def test_speed_and_time_left(clock):
    screen = Console(file=StringIO(), force_terminal=True, width=100, no_color=True)
    with EpochBar(screen, 3) as bar:
        bar(Progress(1, 100, 10_100, 2.5))  # the first call starts the clock of the epoch
        clock[0] = 4.0
        bar(Progress(1, 2_100, 10_100, 1.25))  # 2,000 in 4 s: 500 a second, 16 s for 8,000 more
        clock[0] = 4.1
        bar(Progress(1, 2_200, 10_100, 9.99))  # too soon to draw
    text = " ".join(drawn(screen))
    assert "epoch 1/3" in text
    assert "loss 1.2500  500 images/s  0:16 left" in text
    assert "9.99" not in text
    assert " 21%" in text


def test_every_epoch_has_a_clock_of_its_own(clock):
    screen = Console(file=StringIO(), force_terminal=True, width=100, no_color=True)
    with EpochBar(screen, 2) as bar:
        bar(Progress(1, 10, 100, 1.0))
        clock[0] = 1000.0
        bar(Progress(2, 10, 100, 1.0))
        clock[0] = 1001.0
        bar(Progress(2, 40, 100, 1.0))
    assert "epoch 2/2" in " ".join(drawn(screen))
    assert "30 images/s  0:02 left" in " ".join(drawn(screen))


def test_nothing_appears_before_the_first_step():
    screen = Console(file=StringIO(), force_terminal=True)
    with EpochBar(screen, 2):
        pass
    assert screen.file.getvalue() == ""


def test_a_terminal_sees_the_bar_and_a_line_per_epoch(tiny):
    ours, theirs = pty.openpty()
    arguments = ["run", str(tiny), "--out", "run", "--set", "train.batch=1"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-m", "cnnkit", *arguments], stderr=theirs, stdout=subprocess.PIPE,
        env=environment,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
        out = process.stdout.read().decode()
    os.close(ours)
    text = seen.decode()
    assert process.returncode == 0
    assert out.endswith("\nrun/report.html\n")
    assert "images/s  0:00 left" in text
    assert len(re.findall(r"epoch [12]/2: loss", text)) == 2
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back


def test_an_epoch_that_begins_again_has_a_new_clock(clock):
    screen = Console(file=StringIO(), force_terminal=True, width=100, no_color=True)
    with EpochBar(screen, 1) as bar:
        bar(Progress(1, 10, 100, 1.0))
        clock[0] = 10.0
        bar(Progress(1, 90, 100, 1.0))
        bar(Progress(1, 10, 100, 1.0))
        clock[0] = 11.0
        bar(Progress(1, 40, 100, 1.0))
    assert "30 images/s  0:02 left" in " ".join(drawn(screen))
