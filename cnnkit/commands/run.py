"""`cnnkit run`: train the network a spec describes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import tomli

from cnnkit.arrays import counted
from cnnkit.base import Epoch
from cnnkit.commands._console import News, emit, emit_json
from cnnkit.commands._overfit import overfit as one_batch
from cnnkit.commands._overfit import refuse_beside
from cnnkit.commands._plugins import begin, read_spec, with_backend
from cnnkit.commands._several import Member, Several, members
from cnnkit.commands.evaluate import results
from cnnkit.errors import CnnkitError, Terminated, TrainingError
from cnnkit.plugins import find_component, load_plugins
from cnnkit.runs.data import data_paths
from cnnkit.runs.directory import StoredRun, find_run
from cnnkit.runs.figures import epoch_line
from cnnkit.runs.kept import plugin_flags
from cnnkit.runs.listing import by_path, differing, options_of
from cnnkit.runs.session import Finished, Session
from cnnkit.specfile.load import load_spec
from cnnkit.specfile.resolved import resolved_toml
from cnnkit.specfile.runspec import RunSpec

if TYPE_CHECKING:
    from rich.table import Table

    from cnnkit.commands._bar import EpochBar
    from cnnkit.commands._screen import Screen


def run(
    spec: Path,
    /,
    *,
    set: tuple[str, ...] = (),
    out: Path | None = None,
    data_dir: Path | None = None,
    no_fallback: bool = False,
    backend: str | None = None,
    seeds: str | None = None,
    minutes: float | None = None,
    subset: int | None = None,
    overfit: bool = False,
    resume: bool = False,
    no_report: bool = False,
    quiet: bool = False,
    json: bool = False,
) -> int:
    """Train the network a spec describes, judge it on the test images, and keep it.

    News go to stderr; the closing figures to stdout, and as the last line the report in the run's
    directory, or that directory where there is none.

    Args:
        spec: a TOML file.
        set: KEY=VALUE laid over the spec, such as train.epochs=5; may be repeated.
        out: the run directory to make; by default runs/NAME/TIME.
        data_dir: a folder of downloaded datasets; by default CNNKIT_DATA_DIR.
        no_fallback: fail where the data cannot be had, whatever fallback the spec has.
        backend: what computes, such as native; as --set train.backend=native.
        seeds: train once for each of these, such as 0..4 or 0,3,7, in folders of their own, and
            print the mean and deviation of all figures.
        minutes: end training after so many; as the callback stop_after.
        subset: train on so many images only; as --set train.subset=N.
        overfit: see whether the network learns one batch by heart, without augmentation, dropout
            and the like, and which layer does not; writes nothing, unless --out is given.
        resume: go on with the run in --out, if one of this spec is there.
        no_report: write no report.html into the run's directory.
        quiet: print the run's directory, and else only warnings and errors.
        json: print one JSON document.
    """
    laid = with_backend(set, backend, subset)
    news, loaded = _read(spec, laid, minutes, quiet)
    if overfit:
        refuse_beside(seeds=seeds, minutes=minutes, subset=subset, resume=resume)
        return one_batch(loaded, news, out, data_dir, not no_fallback, json)
    if of := members(loaded, seeds):
        one = _One(spec, laid, minutes, news, data_dir, not no_fallback, not no_report)
        return run_all(of, one, Several(loaded, out, resume, news), json)
    stored = _begun(loaded, out) if resume else None
    finished, session = train(loaded, news, out, data_dir, not no_fallback, stored)
    close(finished, None if no_report else session, news, json)
    return 0


def _read(
    path: Path, set: tuple[str, ...], minutes: float | None, quiet: bool
) -> tuple[News, RunSpec]:
    news, registry = begin(quiet)
    return news, _timed(read_spec(path, set, registry, news), minutes)


class _One(NamedTuple):
    """What the runs of a spec that are several have in common."""

    spec: Path
    set: tuple[str, ...]
    minutes: float | None
    news: News
    data_dir: Path | None
    allow_fallback: bool
    leaves_report: bool


def run_all(of: Sequence[Member], one: _One, group: Several, json: bool) -> int:
    """Train one after the other, and print what came out; return the exit code."""
    for member in of:
        try:
            _run_member(member, one, group)
        except TrainingError as error:
            group.failure(member.name, error)
        except (KeyboardInterrupt, Terminated) as error:
            error.add_note(f"   = note: runs that are done stay; the same command with --out "
                           f"{group.path} --resume goes on")  # fmt: skip
            raise
    return group.conclude([member.name for member in of], json)


def _run_member(member: Member, one: _One, group: Several) -> None:
    laid = (*one.set, *member.set)
    spec = _timed(load_spec(one.spec, laid, registry=load_plugins()), one.minutes)
    out, stored = group.path / member.name, group.begun(member.name)
    if stored:
        _begun(spec, out)  # by this very spec
        if stored.facts("status.json").get("status") == "done":
            one.news.say(f"{out} is done")
            return
    _, session = train(spec, one.news, out, one.data_dir, one.allow_fallback, stored)
    if one.leaves_report:
        from cnnkit.commands.report import report_of  # once training is done

        report_of(session, one.news)


def _timed(spec: RunSpec, minutes: float | None) -> RunSpec:
    """Return the spec with a callback that ends training after so many minutes, if any.

    Raises:
        CnnkitError: where that is no number of minutes.
    """
    if minutes is None:
        return spec
    if not 0 < minutes < inf:
        raise CnnkitError(f"--minutes is {minutes:g}; expected a number > 0")
    timer = find_component("callbacks", {"type": "stop_after", "minutes": minutes})
    train = spec.train.model_copy(update={"callbacks": [*spec.train.callbacks, timer]})
    return spec.model_copy(update={"train": train})


def _begun(spec: RunSpec, out: Path | None) -> StoredRun | None:
    """Return the run in `out` that has begun by this spec, or None.

    Raises:
        CnnkitError: where there is a run by another spec, or no folder was named.
    """
    if out is None:
        raise CnnkitError("--resume goes on with the run in --out; give --out, too")
    if not (out / "spec.toml").exists():
        return None
    stored = find_run(out)
    now, then = by_path(tomli.loads(resolved_toml(spec))), options_of(stored)
    words = [key for key in now if key.startswith("loss.") and isinstance(now[key], str)]
    fitted = {key for key in words if isinstance(then.get(key), list)}  # "balanced", to numbers
    if set(differing([now, then])) - fitted:
        raise CnnkitError(
            f"the run in {out} is by another spec than this one; `cnnkit diff {spec.source.file} "
            f"{out}` shows where they part; choose another --out"
        )
    return stored


def close(finished: Finished, session: Session | None, news: News, json: bool) -> None:
    """Print what came out of a run.

    Args:
        session: of which to leave a report; None leaves none.
    """
    page = None
    if session is not None:
        from cnnkit.commands.report import report_of  # once training is done

        page = report_of(session, news)
    if stopped := finished.summary.get("stopped"):
        news.say(f"ended by {stopped}")
    for remark in finished.summary["remarks"]:
        news.warn(remark)
    if json:
        emit_json({"run": str(finished.path), "report": page and str(page), **finished.summary})
    elif news.quiet:
        emit(str(finished.path))
    else:
        news.say("")
        emit(_closing(finished), f"\n{page or finished.path}")
        if news.screen.is_terminal:
            news.say(_next(finished.path))


def train(
    spec: RunSpec,
    news: News,
    out: Path | None,
    data_dir: Path | None,
    allow_fallback: bool = True,
    stored: StoredRun | None = None,
) -> tuple[Finished, Session]:
    """Train and say how it goes.

    Args:
        stored: a run to go on with.
    """
    epochs, has_bar = spec.train.epochs, news.screen.is_terminal and not news.quiet
    with ExitStack() as stack:
        watch = stack.enter_context(bar(news.screen, epochs)) if has_bar else None
        paths = data_paths(spec, data_dir, news.say, progress=has_bar)
        session = stack.enter_context(
            Session(spec, paths, out=out, allow_fallback=allow_fallback, watch=watch, stored=stored)
        )
        news.say(_opening(session))
        for note in _other_backends(spec):
            news.say(note)
        for epoch in session.epochs():
            _tell(epoch, epochs, news, watch)
        finished = session.finish()
    if session.dataset is not spec.data:
        news.say(
            f"WARNING: these are figures of {session.dataset.type}, the fallback of "
            f"{spec.data.type}, which could not be had"
        )
    return finished, session


def bar(screen: Screen, epochs: int) -> EpochBar:
    """Return a bar for a terminal."""
    from cnnkit.commands._bar import EpochBar  # which imports what a terminal alone needs

    return EpochBar(screen, epochs)


def _next(run: Path) -> str:
    """Return the commands that go on from a run."""
    quoted, flags = shlex.quote(str(run)), plugin_flags(run)
    verbs = (f"why {quoted}", f"report {quoted}", f"predict {quoted} FILES")
    return "\nnext: " + "\n      ".join(f"cnnkit {verb}{flags}" for verb in verbs)


def _opening(session: Session) -> str:
    validation = len(session.validation) if session.validation else 0
    after = f", going on after {session.done}" if session.done else ""
    return (
        f"{session.spec.name}: {counted(len(session.train), 'image')} of {session.dataset.type} "
        f"to train on, {validation:,} to validate, {len(session.data.test):,} to test\n"
        f"writing to {session.directory.path}{after}"
    )


def _other_backends(spec: RunSpec) -> Iterator[str]:
    """Say what could compute instead of the built-in backend: installing chooses nothing."""
    used = spec.registry.entry_of(type(spec.train.backend))
    for entry in spec.registry.entries("backends") if used and used.built_in else ():
        if not entry.built_in:
            yield f"note: {entry.owner} could compute it, too: --backend {entry.type}"


def _tell(epoch: Epoch, epochs: int, news: News, watch: EpochBar | None) -> None:
    """Say what an epoch gave."""
    news.say(epoch_line(epoch, epochs))
    if odd := _odd(epoch):
        news.warn(odd)
    if watch:
        watch.epoch(epoch)


def _odd(epoch: Epoch) -> str:
    """Say what became of steps whose numbers were not finite."""
    if epoch.rollbacks:
        times = "once," if epoch.rollbacks == 1 else f"{epoch.rollbacks} times, each time"
        what = f"it was begun again {times} with half the learning rate"
    elif epoch.skipped:
        what = f"{counted(epoch.skipped, 'step')} {'was' if epoch.skipped == 1 else 'were'} skipped"
    else:
        return ""
    return f"epoch {epoch.epoch}: {what}, as numbers were not finite; log.txt says where"


def _closing(finished: Finished) -> Table:
    train, test = finished.summary["train"], finished.summary["test"]
    images = sum(map(sum, test.get("confusion", [])))
    took = f"{train['seconds']:.1f} s, {train['samples_per_second']:,.0f} images/s"
    return results(finished.summary["dataset"], images, test, finished.model.classes, training=took)
