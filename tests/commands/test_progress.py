"""The progress bar, on a made-up terminal and with a made-up clock."""

from __future__ import annotations

import re
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from rich.console import Console

from cnnkit.base import Epoch
from cnnkit.commands import _bar
from cnnkit.commands._bar import EpochBar, blocks
from cnnkit.engine.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock to set: `clock[0] = 5.0`."""
    now = [0.0]
    monkeypatch.setattr(_bar, "perf_counter", lambda: now[0])
    return now


def terminal(file=None, width=100) -> Console:
    """Return a terminal without colours."""
    return Console(file=file or StringIO(), force_terminal=True, width=width, no_color=True)


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


def test_what_is_left_of_the_run(clock):
    screen = terminal()
    with EpochBar(screen, 4) as bar:
        clock[0] = 100.0
        bar(Progress(2, 0, 100, 1.0))  # goes on after one epoch
        clock[0] = 120.0
        bar(Progress(2, 50, 100, 1.0))  # an eighth of the run in 20 s: five more to go
    assert "run              1:40 left" in drawn(screen)
    alone = terminal()
    with EpochBar(alone, 1) as bar:
        bar(Progress(1, 0, 100, 1.0))
        clock[0] = 140.0
        bar(Progress(1, 50, 100, 1.0))
    assert not [line for line in drawn(alone) if line.startswith("run")]


def test_curves(clock):
    screen = terminal()
    with EpochBar(screen, 9) as bar:
        for number, loss in enumerate((8.0, 4.0, 1.0, 0.5, 0.5)):
            bar(Progress(1, 10 * number, 100, loss))
            clock[0] += 1
        for accuracy in (0.5, 0.75, 1.0):
            bar.epoch(Epoch(1, 1.0, {"loss": 0.0, "accuracy": accuracy}, 1.0, 1.0, 0.1))
        bar.epoch(Epoch(1, 1.0, None, 1.0, 1.0, 0.1))
        bar(Progress(1, 60, 100, 0.5))
    assert "loss             ▇▂▁▁▁ 0.5000" in drawn(screen)  # 4, 1, 0.5, 0.5, 0.5 by logarithm
    assert "validation loss  ▁▁▁ 0.0000" in drawn(screen)
    assert "accuracy         ▁▃▇ 1.0000" in drawn(screen)


def test_curves_of_a_terminal_without_blocks(clock):
    file = TextIOWrapper(BytesIO(), "ascii", write_through=True)
    with EpochBar(terminal(file), 9) as bar:
        for number, loss in enumerate((8.0, 4.0, 1.0, 0.5)):
            bar(Progress(1, 10 * number, 100, loss))
            clock[0] += 1
    text = file.buffer.getvalue().decode("ascii")
    assert "loss             #._ 0.5000" in text


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_no_line_is_wider_than_the_screen(clock, width):
    screen = terminal(width=width)
    with EpochBar(screen, 9) as bar:
        for number in range(500):
            bar(Progress(1, number, 500, 1 + 1 / (number + 1)))
            bar.epoch(Epoch(1, 1.0, {"loss": 1.5, "accuracy": number / 500}, 1.0, 1.0, 0.1))
            clock[0] += 1
    lines = drawn(screen)
    assert max(map(len, lines)) <= width
    assert width < 80 or any(line.startswith("accuracy") for line in lines)


def test_a_long_curve_is_averaged():
    assert blocks([0.0, 0.0, 1.0, 1.0, 4.0, 4.0], 3) == "▁▂▇"
    assert blocks([0.0] * 7 + [8.0], 2) == "▁▇"
    assert blocks([3.0, 3.0], 5) == "▁▁"


def test_a_long_run_keeps_few_losses(clock):
    with EpochBar(terminal(), 9) as bar:
        for number in range(2500):
            bar(Progress(1, number, 9999, 1.0))
            clock[0] += 1
        assert len(bar._curves["loss"]) < 2001


def test_nothing_appears_before_the_first_step():
    screen = Console(file=StringIO(), force_terminal=True)
    with EpochBar(screen, 2):
        pass
    assert screen.file.getvalue() == ""


def test_a_terminal_sees_the_bar_and_a_line_per_epoch(tiny, on_terminal):
    arguments = ["run", str(tiny), "--out", "run", "--set", "train.batch=1"]
    code, text, out = on_terminal(*arguments, stream="stderr", TERM="xterm")
    assert code == 0
    assert out.endswith("\nrun/report.html\n")
    assert "images/s  0:00 left" in text
    assert len(re.findall(r"epoch [12]/2: loss", text)) == 2
    assert text.endswith(
        "\nnext: cnnkit why run\r\n      cnnkit report run\r\n      cnnkit predict run FILES\r\n"
    )
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
