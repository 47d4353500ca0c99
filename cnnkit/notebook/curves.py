"""Curves: what each epoch gave, as records, as a table and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cnnkit.base import Epoch
from cnnkit.files.durable import write_durably
from cnnkit.tables import text_table


class Plot:
    """The curves of a training: loss, and the figures on the validation images, by epoch.

    A notebook shows it as a drawing with the numbers behind it; `save` writes it as SVG.
    """

    def __init__(self, epochs: Sequence[dict[str, Any]]) -> None:
        """Draw the records, as lines of metrics.jsonl have them."""
        from cnnkit.report.subject import curves

        self._charts = curves(epochs)
        told = [f"epoch {one['epoch']}: loss {one['train_loss']:.4g}" for one in epochs[:1]]
        self._words = "; ".join(chart.alt for chart in self._charts) or "".join(told)
        self._words = self._words or "no epoch yet"

    def __repr__(self) -> str:
        return self._words

    def _repr_html_(self) -> str:
        return self._drawn("curves.html")

    def _repr_svg_(self) -> str:
        shown = self._charts
        wide = sum(chart.width for chart in shown) or 340
        high = max((chart.height for chart in shown), default=0) + 24
        return self._drawn("curves.svg", width=wide, height=high)

    def _drawn(self, template: str, **size: int) -> str:
        from cnnkit.report.page import render  # which imports what only a drawing needs

        return render(template, charts=self._charts, words=self._words, **size)

    def save(self, path: str | Path) -> None:
        """Write the curves as an SVG file.

        Raises:
            RunError: where it cannot be written.
        """
        write_durably(Path(path), self._repr_svg_().encode())


class History(tuple[Epoch, ...]):
    """A record per epoch; a prompt shows them as a table, a notebook as curves."""

    def __repr__(self) -> str:
        names = dict.fromkeys(n for one in self for n, v in (one.validation or {}).items()
                              if isinstance(v, int | float))  # fmt: skip
        head = ["epoch", "loss", *(f"validation {name}" for name in names), "seconds"]
        rows = [
            [str(one.epoch), f"{one.train_loss:.4f}",
             *(f"{(one.validation or {})[name]:.4f}" for name in names), f"{one.seconds:.1f}"]
            for one in self
        ]  # fmt: skip
        return text_table(head, rows, right=range(len(head)))

    def plot(self) -> Plot:
        """Return the curves."""
        return Plot([asdict(one) for one in self])

    def _repr_html_(self) -> str:
        return self.plot()._repr_html_()
