"""Run: a finished training, from its folder or from memory alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cnnkit.base import Component, Epoch
from cnnkit.errors import RunError
from cnnkit.model import Model
from cnnkit.notebook.curves import History, Plot
from cnnkit.plugins import load_plugins
from cnnkit.runs.data import data_paths
from cnnkit.runs.directory import find_run
from cnnkit.runs.figures import figure_rows
from cnnkit.runs.session import Session
from cnnkit.specfile.runspec import RunSpec
from cnnkit.tables import html_table, text_table


@dataclass(frozen=True, repr=False)
class Run:
    """A training and what came of it: `train` and `fit` return one, `Run.load` reads one.

    A prompt shows it as a table, a notebook as a table with the curves.

    Args:
        path: the run's folder; None where `fit` was given none, and nothing was written.
        spec: what was asked.
        model: the trained network.
        history: a record per epoch.
        summary: what summary.json holds, or would hold: status, seed, epochs, training figures,
            those on the test images ("test", empty where there are none), and remarks.
    """

    path: Path | None
    spec: RunSpec
    model: Model
    history: History
    summary: dict[str, Any]

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        checkpoint: Literal["last", "best"] = "last",
        types: Sequence[type[Component]] = (),
    ) -> Run:
        """Read a run's folder. Of one that did not finish, the summary holds "status", whole
        "epochs" and "message".

        Args:
            checkpoint: the weights after the last epoch, or after the best one.
            types: classes of your own that the spec names, such as those of a notebook.

        Raises:
            RunError: where there is no run, it saved no network yet, or a file is damaged.
            SpecError: where its spec cannot be read any more, for want of a plugin for instance.
        """
        stored, registry = find_run(Path(path)), load_plugins().offering(types)
        spec = stored.spec(registry)
        try:
            history = History(Epoch(**record) for record in stored.epochs())
        except TypeError as error:
            raise RunError(f"metrics.jsonl of {path} is damaged: {error}") from None
        if (stored.path / "summary.json").exists():
            summary = stored.facts("summary.json")
        else:
            facts = stored.facts("status.json")
            summary = {"status": facts.get("status"), "epochs": len(history),
                       "message": facts.get("message", "")}  # fmt: skip
        model = Model.load(stored.checkpoint(checkpoint), registry, backend=spec.train.backend)
        return cls(stored.path, spec, model, history, summary)

    def plot(self) -> Plot:
        """Return the curves; `run.plot().save("curves.svg")` keeps them."""
        return self.history.plot()

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("run", self.spec.name), ("status", str(self.summary["status"]))]
        rows += [("folder", str(self.path) if self.path else "none: it is in memory alone")]
        if self.history:
            last = self.history[-1]
            rows += [("epochs", str(last.epoch)), ("training loss", f"{last.train_loss:.4f}")]
            rows += [(f"validation {name.replace('_', ' ')}", f"{value:.4f}")
                     for name, value in (last.validation or {}).items()
                     if isinstance(value, int | float)]  # fmt: skip
            rows += [("training", f"{sum(one.seconds for one in self.history):.1f} s")]
        return rows + list(figure_rows(self.summary.get("test") or {}))

    def __repr__(self) -> str:
        return text_table((), self._rows())

    def _repr_html_(self) -> str:
        return html_table((), self._rows()) + self.history._repr_html_()


def train(
    spec: RunSpec,
    *,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    allow_fallback: bool = True,
) -> Run:
    """Train the network a spec describes, and return the finished run.

    Args:
        spec: from `load_spec`.
        out: the run directory to make; by default runs/<name>/<UTC>-<4 hex>.
        data_dir: folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        allow_fallback: whether the spec's fallback dataset may stand in, with a warning.

    Raises:
        DataError, SpecError, RunError: before training starts; nothing is lost.
        TrainingError: where the loss stops being finite.
    """
    if not isinstance(spec, RunSpec):
        raise TypeError(f"train takes a spec: write train(load_spec({str(spec)!r}))")
    paths = data_paths(spec, Path(data_dir) if data_dir else None, warnings.warn)
    for _, text in spec.warnings:
        warnings.warn(text, stacklevel=2)
    target = Path(out) if out else None
    with Session(spec, paths, out=target, allow_fallback=allow_fallback) as session:
        for _ in session.epochs():
            continue
        done = session.finish()
    return Run(done.path, session.spec, done.model, History(done.epochs), done.summary)
