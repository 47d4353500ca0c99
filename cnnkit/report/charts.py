"""Charts: where lines, marks and words of a plot stand, in the numbers of a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 340, 230
"""Of a drawing; it is shown at about this size on a telephone, and not much larger elsewhere."""
LEFT, RIGHT, TOP, BOTTOM = 46, 74, 12, 40
MARKS = ("M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z", "M-3-3h6v6h-6z", "M0-4 4 3h-8z", "M0-4 4 0 0 4-4 0z")
"""Circle, square, triangle, diamond: series are told apart without colour."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart; `plain` ones are drawn without marks."""

    name: str
    points: Sequence[Point]
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A series as it is drawn.

    Args:
        path: of SVG.
        places: of its marks.
        style: a number that decides colour, dashes and mark.
        label: where its name stands.
    """

    name: str
    path: str
    places: Sequence[Point]
    style: int
    mark: str
    label: Point


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot of lines, and the numbers behind it.

    Args:
        title: what is seen.
        alt: the same for those who do not see it.
        x_ticks, y_ticks: places and words.
        rows: the numbers, as a table with `columns`.
    """

    title: str
    alt: str
    x_name: str
    y_name: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    lines: Sequence[Line]
    columns: Sequence[str]
    rows: Sequence[Sequence[float | None]]
    width: int = WIDTH
    height: int = HEIGHT
    box: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def ticks(low: float, high: float, most: int = 5, whole: bool = False) -> list[float]:
    """Return round numbers that reach from `low` to `high`, at most `most` steps apart.

    >>> ticks(0.13, 0.92)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** floor(log10(span / most))
    step = next(s * power for s in (1, 2, 5, 10) if s * power * most >= span * 0.999)
    step = max(1.0, step) if whole else step
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def line_chart(
    title: str,
    x_name: str,
    y_name: str,
    series: Sequence[Series],
    *,
    zero: bool = False,
    whole: bool = False,
) -> Chart | None:
    """Return a chart, or None where there is no line to draw: one point says more in words.

    Args:
        zero: whether the upright axis begins at 0.
        whole: whether x counts.
    """
    kept = [(s, [p for p in s.points if isfinite(p[0]) and isfinite(p[1])]) for s in series]
    everything = [point for _, points in kept for point in points]
    if len({x for x, _ in everything}) < 2:
        return None
    xs, ys = zip(*everything, strict=True)
    x_marks = ticks(min(xs), max(xs), 6, whole)
    y_marks = ticks(0.0 if zero else min(ys), max(ys))

    def place(point: Point) -> Point:
        across = (point[0] - x_marks[0]) / (x_marks[-1] - x_marks[0])
        up = (point[1] - y_marks[0]) / (y_marks[-1] - y_marks[0])
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )

    lines = _lines([(s, [place(point) for point in points]) for s, points in kept if points])
    x_ticks = [(place((x, y_marks[0]))[0], f"{x:g}") for x in x_marks]
    y_ticks = [(place((x_marks[0], y))[1], f"{y:g}") for y in y_marks]
    columns, rows = [x_name, *(s.name for s, _ in kept)], _rows(kept)
    return Chart(title, _alt(title, kept), x_name, y_name, x_ticks, y_ticks, lines, columns, rows)


def _lines(placed: Sequence[tuple[Series, list[Point]]]) -> list[Line]:
    """Draw series, and set their names beside their ends, none over another."""
    labels: dict[int, Point] = {}
    free = float(TOP)
    for index in sorted(range(len(placed)), key=lambda i: placed[i][1][-1][1]):
        free = max(free, placed[index][1][-1][1])
        labels[index] = (WIDTH - RIGHT + 6, round(free + 4, 1))
        free += 14
    return [
        Line(
            series.name, "M" + "L".join(f"{x} {y}" for x, y in points),
            () if series.plain or len(points) > 60 else points, index % 8,
            MARKS[index % len(MARKS)], labels[index],
        )
        for index, (series, points) in enumerate(placed)
    ]  # fmt: skip


def _rows(kept: Sequence[tuple[Series, list[Point]]]) -> list[list[float | None]]:
    columns = [dict(points) for _, points in kept]
    xs = sorted({x for column in columns for x in column})
    thin = -(-len(xs) // 100)  # a schedule has a point for every step
    return [[x, *(column.get(x) for column in columns)] for x in xs[::thin]]


def _alt(title: str, kept: Sequence[tuple[Series, list[Point]]]) -> str:
    ends = (f"{s.name} from {p[0][1]:.3g} to {p[-1][1]:.3g}" for s, p in kept if p and not s.plain)
    said = "; ".join(ends)
    return f"{title}: {said}" if said else title
