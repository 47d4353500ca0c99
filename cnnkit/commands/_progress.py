"""The progress bar of a training epoch, on a terminal's stderr."""

from __future__ import annotations

from time import perf_counter
from types import TracebackType

from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as RichProgress

from cnnkit.commands._console import Screen
from cnnkit.engine.trainer import Progress

_EVERY = 0.2  # seconds: drawing takes a millisecond that training does not get


class EpochBar:
    """Shows the progress of the current epoch: call it after every step.

    It appears with the first step, so that bars of downloads have the terminal for themselves.
    """

    def __init__(self, screen: Screen, epochs: int) -> None:
        columns = (
            TextColumn(f"epoch {{task.fields[epoch]}}/{epochs}"),
            BarColumn(24),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
        )
        self._bar = RichProgress(*columns, console=screen, auto_refresh=False, transient=True)
        self._task = self._bar.add_task("", epoch=1)
        self._epoch, self._started, self._before, self._drawn = 0, 0.0, 0, 0.0

    def __enter__(self) -> EpochBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._epoch:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Draw, if it is time to."""
        now = perf_counter()
        if progress.epoch != self._epoch:
            if not self._epoch:
                self._bar.start()
            self._epoch, self._started, self._before = progress.epoch, now, progress.samples
        elif now - self._drawn >= _EVERY:
            self._draw(progress, (progress.samples - self._before) / (now - self._started))
            self._drawn = now

    def _draw(self, progress: Progress, speed: float) -> None:
        left = round((progress.total - progress.samples) / speed)
        self._bar.update(
            self._task,
            epoch=progress.epoch,
            completed=progress.samples,
            total=progress.total,
            description=f"loss {progress.loss:.4f}  {speed:,.0f} images/s  "
            f"{left // 60}:{left % 60:02d} left",
            refresh=True,
        )
