"""Timing and tables, with members whose clocks are known."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from cnnkit_bench.measure import NORM_TOLERANCE, Plan, compare, measure
from cnnkit_bench.member import Member, OutError
from cnnkit_bench.report import Report, best_peer
from cnnkit_bench.tables import show

PLAN = Plan(repeats=5, steps=None, seconds=0.25, lr=0.1, until=math.inf)


class Clock(Member):
    """Takes the seconds it is told to, step by step; its outputs are all `value`."""

    def __init__(self, peer, threads, seconds, value=0.5, log=None):
        super().__init__(peer, threads, folder=Clock.folder)
        self._seconds, self._value = seconds, value
        self.log = [] if log is None else log
        self.version = f"{peer} 1.0"

    def open(self, mode, batch, lr, still=False):
        self.log.append(("open", self.peer, lr))

    def turn(self, steps, warm=0):
        self.log.append(("turn", self.peer, steps, warm))
        return steps * self._seconds

    def outputs(self, count):
        return np.full((count, 10), self._value)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(Clock, "folder", tmp_path, raising=False)
    monkeypatch.setattr("cnnkit_bench.measure._SETTLE", 0)


def test_members_take_turns_and_turns_last_a_quarter_of_a_second():
    log = []
    crew = [Clock("cnnkit", 2, 0.01, log=log), Clock("torch", 2, 0.5, log=log)]
    section = measure(crew, "training", 10, PLAN)
    assert log[-6:] == [("turn", "cnnkit", 25, 3), ("turn", "torch", 1, 1)] * 3
    assert len(section.rows[0].us) == 5
    assert [entry[2] for entry in log if entry[0] == "open"] == [0.1, 0.1, 1e-6, 1e-6]
    ours, torch = section.rows
    assert ours.median == pytest.approx(1000)
    assert torch.median == pytest.approx(50_000)
    assert torch.ratio == pytest.approx(50)


def test_a_thread_count_that_cannot_be_a_peers_best_is_timed_once():
    crew = [Clock("cnnkit", 2, 0.1), Clock("cnnkit", 1, 0.3), Clock("torch", 2, 0.3),
            Clock("torch", 1, 0.2), Clock("onnxruntime", 2, 0.24), Clock("onnxruntime", 1, 0.2),
            Clock("loops", 1, 9.0)]  # fmt: skip
    rows = measure(crew, "inference", 4, PLAN).rows
    assert [len(row.us) for row in rows] == [5, 1, 1, 5, 5, 5, 5]


@pytest.mark.parametrize(("repeats", "rounds"), [(5, 3), (2, 2)])
def test_where_time_is_up_there_are_three_rounds(repeats, rounds):
    rows = measure([Clock("cnnkit", 1, 0.1)], "inference", 4,
                   replace(PLAN, repeats=repeats, until=0)).rows  # fmt: skip
    assert len(rows[0].us) == rounds


def test_a_peer_with_other_outputs_is_not_timed():
    crew = [Clock("cnnkit", 2, 0.1), Clock("torch", 2, 0.1, value=0.6)]
    row = measure(crew, "inference", 4, PLAN).rows[1]
    assert row.us == []
    assert row.problem.kind == "mismatch"
    assert str(row.problem) == "outputs differ from cnnkit's by 2.0e-01; allowed 1e-04"


def test_with_batch_norm_a_little_more_is_let_pass_in_training_alone():
    crew = [Clock("cnnkit", 2, 0.1), Clock("torch", 2, 0.1, value=0.502)]
    plan = replace(PLAN, tolerance=NORM_TOLERANCE)
    assert measure(crew, "training", 4, plan).rows[1].problem is None
    assert measure(crew, "inference", 4, plan).rows[1].problem.kind == "mismatch"
    assert measure(crew, "training", 4, PLAN).rows[1].problem.kind == "mismatch"


def test_outputs_that_are_not_numbers_are_a_mismatch():
    with pytest.raises(OutError, match="differ from cnnkit's by nan"):
        compare(np.full(3, np.nan), np.ones(3), 1e-4)
    with pytest.raises(OutError) as caught:
        compare(np.ones((2, 3)), np.ones((2, 4)), 1e-4)
    assert str(caught.value) == "outputs are (2, 3), cnnkit's (2, 4)"


def a_report():
    crew = [
        Clock("cnnkit", 2, 0.1), Clock("torch-channels-last", 2, 0.3),
        Clock("torch-channels-last", 1, 0.2), Clock("keras-jax", 2, 0.1, value=0.7),
    ]  # fmt: skip
    report = Report("specs/simple.toml", {2: 190.0, 1: 92.0},
                    {"training": 5_400_000, "inference": 1_880_000}, ["onnxruntime"])  # fmt: skip
    report.sections = [measure(crew, mode, 32, PLAN) for mode in ("training", "inference")]
    report.close(crew)
    return report


def test_a_share_of_sgemm_is_of_the_rate_at_as_many_threads():
    report = a_report()
    section = report.sections[0]
    seconds = 0.1 / 32
    expected = 5_400_000 / seconds / 1e9 / 190
    assert report.share(section, section.rows[0]) == pytest.approx(expected)
    assert report.share(section, section.rows[2]) == pytest.approx(expected / 2 * 190 / 92)


def test_the_best_peer_is_the_fastest_at_its_best_thread_count():
    best = best_peer(a_report().sections[0])
    assert best.member.label == "torch-channels-last (1 thread)"


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_fit_and_say_everything(width):
    out = io.StringIO()
    show(a_report(), Console(file=out, width=width, markup=False))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for expected in (
        "training, batch 32 peer threads us per image +/- ratio sgemm",
        "cnnkit 2* 3125.0 0% 1.00 0.9%",
        "torch-channels-last 1* 6250.0 0% 2.00 0.9%",
        "torch-channels-last 2 9375.0 0% 3.00 0.3%",
        "keras-jax 2 mismatch",
        "best peer: torch-channels-last (1 thread), ratio 2.00",
        "not timed: keras-jax: outputs differ from cnnkit's by 4.0e-01; allowed 1e-03",
        "not installed: onnxruntime: pip install 'cnnkit-bench[onnx]'",
    ):
        assert expected in words
