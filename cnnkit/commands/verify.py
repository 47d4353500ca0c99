"""`cnnkit verify`: train a run once more, and hold its weights against those on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rich.table import Table

from cnnkit.arrays import counted
from cnnkit.base import DataPaths, Epoch
from cnnkit.commands._console import News, emit, emit_json, table
from cnnkit.commands._plugins import begin
from cnnkit.commands.diff import shown
from cnnkit.commands.evaluate import dataset_of
from cnnkit.commands.run import bar as bar_on
from cnnkit.errors import RunError
from cnnkit.hookspecs import FAMILIES
from cnnkit.registry import Registry
from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.runs.data import data_paths
from cnnkit.runs.directory import StoredRun, find_run
from cnnkit.runs.listing import MISSING, Values, by_path, differing
from cnnkit.runs.prepare import name_of
from cnnkit.runs.session import Session
from cnnkit.specfile.load import load_spec
from cnnkit.specfile.runspec import RunSpec


class Compared(NamedTuple):
    """The weights of an epoch: their sha256 then and now, and the learning rates."""

    epoch: int
    then: str
    now: str
    rates: tuple[float | None, float]


def verify(
    run: Path,
    /,
    *,
    epochs: int | None = None,
    data_dir: Path | None = None,
    quiet: bool = False,
    json: bool = False,
) -> int:
    """Train a run once more from its recorded spec, elsewhere, and compare the weights by epoch.

    The exit code is 0 where all are equal to the bit, and 1 where they part; then what differs in
    the environment is listed. Data that is not what the run was trained on is an error.

    Args:
        run: a run directory.
        epochs: compare only so many, the first ones; by default all that are on record.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        quiet: print only warnings and errors, and what came out.
        json: print one JSON document.
    """
    news, registry = begin(quiet)
    stored = find_run(run)
    known = _known(stored, epochs)
    spec = _spec(stored, registry)
    with TemporaryDirectory(prefix="cnnkit-verify-") as folder:
        paths = data_paths(spec, data_dir, news.say, progress=news.screen.is_terminal)
        found, differs = _train(stored, spec, known, paths, news, Path(folder) / "run")
    parted = next((one for one in found if one.then != one.now), None)
    if json:
        emit_json({"run": str(run), "equal": parted is None, "parted": parted and parted.epoch,
                   "epochs": [_as_json(one) for one in found],
                   "differs": [{"key": k, "then": a, "now": b} for k, (a, b) in differs.items()],
                   })  # fmt: skip
    elif parted is None:
        number = len(found)
        what = "the epoch is" if number == 1 else f"all {number} epochs are"
        emit(f"equal: the weights after {what} what {run} recorded")
    else:
        emit(*_told(stored, parted, differs))
    return int(parted is not None)


def _known(stored: StoredRun, epochs: int | None) -> dict[int, Values]:
    """Return the first records that there are to compare, by epoch.

    Raises:
        RunError: where there are none, or not so many.
    """
    records = stored.epochs()
    if not records:
        raise RunError(f"there is nothing to verify in {stored.path}: no epoch of it is finished")
    if not all(isinstance(one.get("weights_sha256"), str) for one in records):
        raise RunError(
            f"there is nothing to verify in {stored.path}: expected lines in metrics.jsonl with "
            "the sha256 of the weights, one for each finished epoch, which 0.1 did not write"
        )
    if epochs is not None and not 0 < epochs <= len(records):
        raise RunError(f"{stored.path} has {counted(len(records), 'epoch')} on record: expected "
                       f"--epochs from 1 to {len(records)}, got {epochs}")  # fmt: skip
    return dict(enumerate(records[:epochs], start=1))


def _spec(stored: StoredRun, registry: Registry) -> RunSpec:
    """Return the run's spec, with the dataset that it really used, and nobody who is told."""
    stored.need_plugin_files(registry, FAMILIES.keys() - {"observers"})
    spec = load_spec(stored.path / "resolved.toml", ("observers=[]",), registry=registry)
    return spec.model_copy(update={"data": dataset_of(spec, stored)})


def _train(
    stored: StoredRun,
    spec: RunSpec,
    known: dict[int, Values],
    paths: DataPaths,
    news: News,
    folder: Path,
) -> tuple[list[Compared], dict[str, tuple[Any, Any]]]:
    """Train until weights part, and return what was compared, and how the environments differ."""
    bar = bar_on(news.screen, len(known)) if paths.progress and not news.quiet else None
    with bar or nullcontext() as watch:
        with _Elsewhere(spec, paths, out=folder, watch=watch) as session:
            differs = _differences(stored, StoredRun(folder))
            _refuse_changed(stored, session, differs)
            news.say(f"training {len(known)} of {counted(spec.train.epochs, 'epoch')} of "
                     f"{stored.path} once more")  # fmt: skip
            found = list(_compared(session, known, news))
        least = min(len(known), spec.train.epochs)
        while len(found) < least and found[-1].then == found[-1].now:
            # a callback ended it, and somebody let it go on
            with _Elsewhere(spec, paths, watch=watch, stored=StoredRun(folder)) as session:
                found += _compared(session, known, news)
    return found, differs


def _compared(session: Session, known: dict[int, Values], news: News) -> Iterator[Compared]:
    """Train until weights part, or a callback ends it, and yield what was compared."""
    for epoch in session.epochs():
        one = _compare(epoch, known[epoch.epoch])
        news.say(f"epoch {epoch.epoch}: {_verdict(one)}")
        yield one
        if one.then != one.now or epoch.epoch == len(known):
            return
    session.finish()


def _refuse_changed(stored: StoredRun, session: Session, differs: Values) -> None:
    """Hold data, and the weights that it began with, against what is on record.

    Raises:
        RunError: where they are others.
    """
    did = ""
    if any(key.startswith("data.") for key in differs):
        did, what = "was trained on other data", name_of(session.dataset, session.data)
    elif "weights.sha256" in differs:
        did, what = "began with other weights", str(session.spec.model.weights)
    if did:
        raise RunError(
            f"{stored.path} {did} than {what} holds now (another sha256), so nothing was trained; "
            "bring it back as it was to verify the run"
        )


class _Elsewhere(Session):
    """A session in a folder that will be gone: nobody needs to know what it keeps."""

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        """Say nothing of the folder."""
        super().__exit__(kind, error, tb)
        if error is not None:
            notes = getattr(error, "__notes__", [])
            notes[:] = [note for note in notes if str(self.directory.path) not in note]


def _compare(epoch: Epoch, record: Values) -> Compared:
    rates = record.get("lr"), epoch.lr
    return Compared(epoch.epoch, record["weights_sha256"], epoch.weights_sha256, rates)


def _verdict(one: Compared) -> str:
    equal = one.then == one.now
    return f"equal, sha256 {one.now[:12]}" if equal else f"was {one.then[:12]}, is {one.now[:12]}"


def _differences(then: StoredRun, now: StoredRun) -> dict[str, tuple[Any, Any]]:
    """Return what env.json says then and now, where it is not the same."""
    a, b = by_path(then.facts("env.json")), by_path(now.facts("env.json"))
    return {key: (a.get(key), b.get(key)) for key in differing([a, b])}


def _told(
    stored: StoredRun, parted: Compared, differs: dict[str, tuple[Any, Any]]
) -> Iterator[str | Table]:
    yield f"parted at epoch {parted.epoch}: sha256 {_verdict(parted)}"
    before, now = parted.rates
    if before != now:
        yield (f"its learning rate was {before}, and is {now}: the schedule was laid over another "
               "number of epochs by then, as `resume --epochs` does")  # fmt: skip
    if _went_on_elsewhere(stored):
        yield "the run went on under another environment than it began in"
    if not differs:
        yield "nothing that is on record of the environment differs"
        return
    yield ""
    made = table("environment", "then", "now")
    for key, pair in differs.items():
        made.add_row(key, *(shown(MISSING if value is None else value) for value in pair))
    yield made


def _went_on_elsewhere(stored: StoredRun) -> bool:
    try:
        last = Checkpoint.load(stored.checkpoint("last")).versions
    except RunError:
        return False
    return bool(differing([by_path(stored.facts("env.json")), by_path(last)]))


def _as_json(one: Compared) -> Values:
    return {"epoch": one.epoch, "then": one.then, "now": one.now, "equal": one.then == one.now}
