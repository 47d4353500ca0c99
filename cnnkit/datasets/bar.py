"""The progress bar of a download."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


class Bar:
    """What pooch asks of a progress bar (`total`, update, reset, close), drawn on stderr."""

    def __init__(self, label: str) -> None:
        columns = (TextColumn(label), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(label, total=None)
        self.total = 0
        """Bytes that will come, set by pooch; 0 where the server does not say."""

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def update(self, amount: int) -> None:
        """Count `amount` more bytes."""
        self._progress.update(self._task, total=self.total or None, advance=amount)

    def reset(self) -> None:
        """Start counting again."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Do nothing: the bar goes when its block ends, failed downloads included."""
