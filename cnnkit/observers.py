"""The built-in observers, registered through the same hook as anybody else's."""

from typing import Any, Literal

from cnnkit.base import Epoch, Observer, RunInfo
from cnnkit.files.durable import append_line, read_bytes
from cnnkit.hookspecs import hookimpl


class Csv(Observer):
    """Writes `metrics.csv` into the run directory, for spreadsheets and plots: a row per epoch.

    Columns: epoch, train_loss, seconds, samples_per_second, lr, then validation_loss and a
    validation_... for each metric that is one number. metrics.jsonl holds the others too.

    Raises:
        RunError: where the file cannot be written.
    """

    type: Literal["csv"] = "csv"

    def epoch(self, run: RunInfo, record: Epoch) -> None:
        path, row = run.path / "metrics.csv", _row(record)
        if not path.exists():
            append_line(path, ",".join(row))
        # The first epoch chose the columns: a metric may give no number in a later one.
        columns = read_bytes(path).decode().partition("\n")[0].split(",")
        append_line(path, ",".join(str(row.get(name, "")) for name in columns))


def _row(record: Epoch) -> dict[str, Any]:
    figures = (record.validation or {}).items()
    numbers = {f"validation_{name}": n for name, n in figures if isinstance(n, int | float)}
    return {
        "epoch": record.epoch,
        "train_loss": record.train_loss,
        "seconds": record.seconds,
        "samples_per_second": record.samples_per_second,
        "lr": record.lr,
        **numbers,
    }


@hookimpl
def cnnkit_observers() -> list[type[Observer]]:
    """Return the observers that come with cnnkit."""
    return [Csv]
