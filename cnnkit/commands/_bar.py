"""The bar: how far training is, on a terminal, with the curves of its figures as they grow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import log
from time import perf_counter
from typing import Self

from rich.console import RenderableType
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from cnnkit.base import Epoch
from cnnkit.commands._screen import Screen
from cnnkit.engine.progress import Progress

_EVERY = 0.2  # seconds: drawing takes a millisecond that training does not get
_BLOCKS, _ASCII = "▁▂▃▅▇", "_.-=#"
_FILLED, _FILLED_ASCII = " ▁▂▃▄▅▆▇█", " ___.==##"
_MOST = 2000
"""Losses that are kept: of a longer run, every other one."""
_NAME = 16
"""Columns of a curve's name."""


def blocks(values: Sequence[float], width: int, ramp: str = _BLOCKS) -> str:
    """Return a curve as one line of block characters, from its lowest value to its highest; where
    it is longer than `width`, values that stand together are averaged.

    >>> blocks([4.0, 3.0, 1.0, 0.5, 0.0], 10)
    '▇▅▂▁▁'
    """
    values = _fitted(values, width)
    low, high = min(values), max(values)
    steps = (len(ramp) - 1) / ((high - low) or 1.0)
    return "".join(ramp[round((value - low) * steps)] for value in values)


def chart(values: Sequence[float], width: int, height: int, ascii_only: bool = False) -> list[str]:
    """Return a curve as `height` lines of filled columns, the top one first.

    >>> chart([4.0, 3.0, 0.0], 3, 2)
    ['█▄ ', '██▁']
    """
    values, ramp = _fitted(values, width), _FILLED_ASCII if ascii_only else _FILLED
    low, most, least = min(values), len(ramp) - 1, 1 / 8
    scale = (height - least) / ((max(values) - low) or 1.0)
    tall = [least + (value - low) * scale for value in values]
    return [
        "".join(ramp[round(min(1.0, max(0.0, one - row)) * most)] for one in tall)
        for row in reversed(range(height))
    ]


def _fitted(values: Sequence[float], width: int) -> Sequence[float]:
    """Return at most `width` values: where there are more, those that stand together averaged."""
    size = len(values)
    if size <= width:
        return values
    cuts = [i * size // width for i in range(width + 1)]
    parts = [values[a:b] for a, b in itertools.pairwise(cuts)]
    return [sum(part) / len(part) for part in parts]


def duration(seconds: float) -> str:
    """Return "0:16", "1:05:00"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class _Display(RichProgress):
    """A bar with lines below it."""

    lines: Sequence[str] = ()

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        for line in self.lines:
            yield Text(line, no_wrap=True, overflow="crop")


class EpochBar:
    """Shows the progress of the current epoch, what is left of the run, and a curve per figure:
    call it after every step, and `epoch` with every record.

    It appears with the first step, so that bars of downloads have the terminal for themselves.
    """

    def __init__(self, screen: Screen, epochs: int) -> None:
        columns = (
            TextColumn(f"epoch {{task.fields[epoch]}}/{epochs}"),
            BarColumn(24),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
        )
        self._bar = _Display(*columns, console=screen, auto_refresh=False, transient=True)
        self._task = self._bar.add_task("", epoch=1)
        self._screen, self._epochs = screen, epochs
        self._epoch, self._started, self._before, self._drawn = 0, 0.0, 0, 0.0
        self._begun, self._from = 0.0, 0.0  # when and where this process began the run
        self._curves: dict[str, list[float]] = {"loss": []}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._epoch:
            self._bar.stop()

    def epoch(self, record: Epoch) -> None:
        """Take what an epoch gave into the curves."""
        figures = record.validation or {}
        for name, value in (("validation loss", "loss"), ("accuracy", "accuracy")):
            if isinstance(figures.get(value), int | float):
                self._curves.setdefault(name, []).append(float(figures[value]))

    def __call__(self, progress: Progress) -> None:
        """Draw, if it is time to."""
        now = perf_counter()
        again = progress.samples <= self._before  # the epoch has begun anew
        if progress.epoch != self._epoch or again:
            if not self._epoch:
                self._bar.start()
                self._begun, self._from = now, self._done(progress)
            self._epoch, self._started, self._before = progress.epoch, now, progress.samples
        elif now - self._drawn >= _EVERY:
            self._draw(progress, now)
            self._drawn = now

    def _done(self, progress: Progress) -> float:
        """Return which share of the run is done."""
        return (progress.epoch - 1 + progress.samples / progress.total) / self._epochs

    def _draw(self, progress: Progress, now: float) -> None:
        speed = (progress.samples - self._before) / (now - self._started)
        losses = self._curves["loss"]
        losses.append(progress.loss)
        if len(losses) > _MOST:
            del losses[::2]
        self._bar.lines = [*self._left(progress, now), *self._drawn_curves()]
        self._bar.update(
            self._task,
            epoch=progress.epoch,
            completed=progress.samples,
            total=progress.total,
            description=f"loss {progress.loss:.4f}  {speed:,.0f} images/s  "
            f"{duration((progress.total - progress.samples) / speed)} left",
            refresh=True,
        )

    def _left(self, progress: Progress, now: float) -> Iterator[str]:
        """Yield how long the run will take still, where it has several epochs."""
        done = self._done(progress)
        if self._epochs > 1 and done > self._from:
            left = (1 - done) * (now - self._begun) / (done - self._from)
            yield f"{'run':{_NAME}} {duration(left)} left"

    def _drawn_curves(self) -> Iterator[str]:
        ramp = _ASCII if self._screen.options.ascii_only else _BLOCKS
        width = min(60, self._screen.width - _NAME - 10)
        for name, values in self._curves.items():
            if len(values) > 1 and width > 0:
                falls = "loss" in name and min(values) > 0  # by powers of ten, so it does not end
                shown = [log(value) for value in values] if falls else values  # as a flat line
                yield f"{name:{_NAME}} {blocks(shown, width, ramp)} {values[-1]:.4f}"
