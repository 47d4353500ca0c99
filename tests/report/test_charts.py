"""Charts: round ticks, points where they belong, and the numbers behind them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from cnnkit.report.charts import Series, line_chart, ticks


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.898, 0.899, [0.898, 0.8982, 0.8984, 0.8986, 0.8988, 0.899]),
        (0, 0, [0, 0.2]),
        (5, 5, [5, 6]),
        (-3, 12, [-5, 0, 5, 10, 15]),
        (0, 4e9, [0, 1e9, 2e9, 3e9, 4e9]),
    ],
)
def test_ticks(low, high, marks):
    assert ticks(low, high) == pytest.approx(marks)


def test_ticks_that_count():
    assert ticks(1, 3, 6, whole=True) == [1, 2, 3]
    assert ticks(1, 100, 6, whole=True) == [0, 20, 40, 60, 80, 100]


def test_points_and_numbers():
    series = [Series("train", [(1, 2.0), (2, 1.0)]), Series("other", [(2, 0.0)])]
    chart = line_chart("Loss", "epoch", "loss", series, zero=True, whole=True)
    left, top, right, bottom = chart.box
    assert chart.lines[0].places == [(left, top), (right, (top + bottom) / 2)]
    assert chart.lines[1].places == [(right, bottom)]
    assert chart.columns == ["epoch", "train", "other"]
    assert chart.rows == [[1, 2.0, None], [2, 1.0, 0.0]]
    assert chart.alt == "Loss: train from 2 to 1; other from 0 to 0"


def test_series_differ_in_more_than_colour():
    series = [Series(str(i), [(0, i), (1, i)]) for i in range(4)]
    chart = line_chart("t", "x", "y", series)
    assert len({line.mark for line in chart.lines}) == 4


def test_names_stand_apart():
    series = [Series(str(i), [(0, 0), (1, 1 + i / 1000)]) for i in range(8)]
    heights = sorted(line.label[1] for line in line_chart("t", "x", "y", series).lines)
    assert min(b - a for a, b in pairwise(heights)) >= 14


@pytest.mark.parametrize("points", [[], [(1, 2.0)], [(1, 2.0), (2, math.nan)]])
def test_less_than_a_line_is_no_chart(points):
    assert line_chart("t", "x", "y", [Series("s", points)]) is None


def test_a_long_series_has_a_short_table():
    series = [Series("rate", [(i, i) for i in range(1000)], plain=True)]
    assert len(line_chart("t", "x", "y", series).rows) == 100
