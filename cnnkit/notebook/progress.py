"""Progress: a line per epoch, and on a terminal a bar below them."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

from cnnkit.base import Epoch
from cnnkit.commands._console import News
from cnnkit.engine.progress import Watcher
from cnnkit.runs.figures import epoch_line


class Progress(NamedTuple):
    """What is told of a training: `watch` after each step, `epoch` after each epoch."""

    watch: Watcher | None
    epoch: Callable[[Epoch], None]


@contextmanager
def progress(epochs: int, quiet: bool) -> Iterator[Progress]:
    """Yield what tells of so many epochs: on a terminal with a bar, in a notebook, or where output
    goes to a file, in plain lines."""
    if quiet:
        yield Progress(None, lambda record: None)
    elif "ipykernel" in sys.modules:  # where stderr looks like an error
        yield Progress(None, lambda record: print(epoch_line(record, epochs), flush=True))
    elif not (news := News()).screen.is_terminal:
        yield Progress(None, lambda record: news.say(epoch_line(record, epochs)))
    else:
        from cnnkit.commands._bar import EpochBar  # which imports what a terminal alone needs

        with EpochBar(news.screen, epochs) as bar:

            def tell(record: Epoch) -> None:
                news.say(epoch_line(record, epochs))
                bar.epoch(record)

            yield Progress(bar, tell)


class Listener:
    """Calls `on_epoch` with the figures of each epoch; where that raises, it says so, and does not
    call it again: a training is worth more than its log."""

    def __init__(self, on_epoch: Callable[[dict[str, Any]], object] | None) -> None:
        self._call = on_epoch

    def epoch(self, record: Epoch) -> None:
        """Tell what an epoch gave."""
        if self._call is None:
            return
        try:
            self._call(asdict(record))
        except Exception as error:  # whatever the caller's code does
            self._call = None
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename}, line {last.lineno}"
            warnings.warn(
                f"on_epoch raised {type(error).__name__} after epoch {record.epoch}: {error} "
                f"({where}); training goes on without it",
                stacklevel=2,
            )
