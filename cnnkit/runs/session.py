"""Session: a spec on its way to a run directory."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from cnnkit.base import DataPaths, Epoch, Observer, RunInfo
from cnnkit.engine.progress import Progress, Watcher
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import PluginError
from cnnkit.model import Model
from cnnkit.provenance import attribute
from cnnkit.runs.directory import RunDirectory, StoredRun, told_first
from cnnkit.runs.kept import plugin_flags
from cnnkit.runs.prepare import Prepared, in_spec, prepare
from cnnkit.runs.recorder import Recorder
from cnnkit.runs.remarks import after_training
from cnnkit.runs.resume import resume_point
from cnnkit.runs.vitals import Vitals
from cnnkit.runs.warm import Origin
from cnnkit.signals import Pending, held_signals
from cnnkit.specfile.runspec import RunSpec
from cnnkit.stdout import stdout_to
from cnnkit.workers import Threads


class Finished(NamedTuple):
    """What a session came to.

    Args:
        path: the run directory.
        model: the trained network.
        epochs: a record per epoch.
        summary: what summary.json holds.
    """

    path: Path
    model: Model
    epochs: tuple[Epoch, ...]
    summary: dict[str, Any]


class Observers:
    """Tells observers what happens; one that raises is named, and left out from there on."""

    def __init__(
        self, spec: RunSpec, run: RunInfo, warn: Callable[[str], None], log: Callable[[str], None]
    ) -> None:
        """Tell them that the run begins.

        Args:
            spec: names the observers, in the order they are told.
            run: what they may know of the run.
            warn: called with a line for each that failed.
            log: called with the traceback.
        """
        self._listening = list(spec.observers)
        self._run, self._registry, self._warn, self._log = run, spec.registry, warn, log
        self._tell("at the start", lambda one: one.start(self._run))

    def epoch(self, record: Epoch) -> None:
        """Tell them what an epoch gave."""
        when = f"after epoch {record.epoch}"
        self._tell(when, lambda one: one.epoch(self._run, deepcopy(record)))

    def end(self, summary: dict[str, Any]) -> None:
        """Tell them how the run ended; only the first call counts."""
        self._tell("at the end", lambda one: one.end(self._run, deepcopy(summary)))
        self._listening = []

    def _tell(self, when: str, call: Callable[[Observer], None]) -> None:
        self._listening = [one for one in self._listening if self._told(one, when, call)]

    def _told(self, observer: Observer, when: str, call: Callable[[Observer], None]) -> bool:
        """Call one observer; return whether it may be called again."""
        try:
            with stdout_to(sys.stderr):  # stdout is the command's, and may be JSON
                call(observer)
        except Exception as error:  # whatever an author's code does
            entry = self._registry.entry_of(type(observer))
            owner = entry.owner if entry else f"module {type(observer).__module__}"
            raised = f"raised {type(error).__name__} {when}: {error}"
            what = f"observer {observer.type} of {owner} {raised}"
            self._log(f"{what}\n{''.join(traceback.format_exception(error))}".rstrip())
            self._warn(f"warning: {what}; the run goes on without it")
            return False
        return True


def trainer_of(
    spec: RunSpec, model: Model, threads: Threads, watch: Watcher | None = None
) -> Trainer:
    """Return a trainer with a spec's settings."""
    return Trainer(
        model, spec.loss, spec.optimizer, metrics=spec.metrics, epochs=spec.train.epochs,
        batch=spec.train.batch, shuffle=spec.train.shuffle, shard=spec.train.shard,
        seed=spec.seed, on_nonfinite=spec.train.on_nonfinite, threads=threads,
        backend=spec.train.backend, registry=spec.registry, watch=watch,
        callbacks=spec.train.callbacks,
    )  # fmt: skip


class Session:
    """One training run: data, model, trainer and run directory.

    Use as a context manager; iterate over `epochs()`, then call `finish()`. Nothing is written
    before the data has been loaded and found to fit the spec.
    """

    def __init__(
        self,
        spec: RunSpec,
        paths: DataPaths,
        *,
        out: Path | None = None,
        allow_fallback: bool = True,
        watch: Watcher | None = None,
        stored: StoredRun | None = None,
        ready: Prepared | None = None,
    ) -> None:
        """Load the data, build the model and create the run directory.

        Args:
            stored: a run to go on with, in its own folder.
            ready: data and model where they are in memory already.

        Raises:
            DataError: where the data cannot be had, or is damaged.
            SpecError: where the spec does not fit the data.
            RunError: where the run directory cannot be made, or `stored` cannot go on.
        """
        self._watch = watch
        self._signals: Pending | None = None
        ready = ready or prepare(spec, paths, allow_fallback, warm=stored is None)
        self.spec = spec = ready.spec
        self.data, self.dataset, self.model = ready.data, ready.dataset, ready.model
        self.train, self.validation = ready.train, ready.validation
        # what was opened is closed again where the rest fails
        with ExitStack() as stack, in_spec(spec):
            pool = stack.enter_context(Threads(spec.train.threads))
            self._trainer = trainer_of(spec, self.model, pool, self._after_step)  # it may refuse
            folder = RunDirectory.reopen(stored) if stored else RunDirectory.create(spec.name, out)
            self.directory = stack.enter_context(folder)
            self._begin(stored, paths, ready.origin)
            self._open = stack.pop_all()

    def _begin(self, stored: StoredRun | None, paths: DataPaths, origin: Origin | None) -> None:
        """Record what the run starts from, or take over from where it was saved last."""
        spec, folder = self.spec, self.directory
        self._recorder = Recorder(folder, spec, self._trainer, self.data, origin)
        if stored is None:
            self._recorder.begin()
        else:
            point = resume_point(stored, spec, self.data, paths)
            memory = point.memory
            if memory and stored.facts("status.json").get("status") == "done":  # it shall be longer
                memory = replace(memory, stopped="")
            with attribute(spec.registry, lambda: "before training", PluginError):
                self._trainer.restore(point.weights, point.optimizer, point.position, memory)
            self._recorder.go_on(point, stored.epochs())
        info = RunInfo(
            spec.name, folder.path, self.dataset.type, self.data.classes,
            samples=len(self.train), epochs=spec.train.epochs,
        )  # fmt: skip
        self._observers = Observers(spec, info, paths.say, folder.log)
        labels, how = self.train.labels, spec.train
        self._vitals = Vitals(
            folder.path, self._trainer, labels, how.epochs, how.batch, spec.optimizer.accumulate
        )

    @property
    def done(self) -> str:
        """Return what a run that goes on had done, "epoch 3"; empty for one that begins."""
        return str(self._trainer.position) if self._trainer.step else ""

    def epochs(self) -> Iterator[Epoch]:
        """Train; after each epoch record it, save checkpoints, tell observers, and yield it.

        Raises:
            TrainingError: where the loss stops being finite.
            RunError: where something cannot be written.
        """
        trainer = self._trainer
        run = trainer.run(self.train, self.validation)
        with (
            in_spec(self.spec),
            held_signals(lambda: trainer.judging) as self._signals,
            closing(run) as epochs,
        ):
            for done in epochs:
                epoch = self._recorder.record(done)
                self._vitals.epoch(epoch.epoch)
                self._log_notes()
                self._observers.epoch(epoch)
                self._recorder.save_epoch(epoch)
                yield epoch
                if self._signals:
                    self._signals.deliver()
            if self._trainer.callbacks.kept:
                self._recorder.save(again=True)

    def _after_step(self, progress: Progress) -> None:
        """Tell where training is, save what is due, and do what a signal has asked for."""
        if self._watch is not None:
            self._watch(progress)
        self._vitals.after_step(progress)
        self._recorder.save_if_due()
        if self._signals:
            self._signals.deliver()

    def finish(self) -> Finished:
        """Judge the model on the test split, if there is one, and write the summary."""
        with in_spec(self.spec), attribute(self.spec.registry, lambda: "after training"):
            test = self._trainer.evaluate(self.data.test) if len(self.data.test) else {}
        remarks = after_training(self.spec, self._recorder.epochs, test, self.data.test)
        summary = self._recorder.conclude(self.dataset.type, test, list(remarks))
        self._observers.end(summary)
        return Finished(self.directory.path, self.model, tuple(self._recorder.epochs), summary)

    def _log_notes(self) -> None:
        while self._trainer.notes:
            self.directory.log(self._trainer.notes.pop(0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        """Release threads and lock; where something was raised, say so in status.json."""
        # else these would keep each other, and all the data
        self._trainer.watch = self._trainer.listen = None
        with told_first(error), self._open:
            if error is not None:
                stopped = not isinstance(error, Exception)
                if stopped and self._signals is not None and not self._signals.hurried:
                    with told_first(error):
                        self._recorder.save()  # between two steps, or two epochs
                at = self._recorder.saved()
                end = self.directory.write_end(error, at.epoch)
                error.add_note(f"   = note: {self.directory.path} keeps {self._recorder.kept()}")
                if stopped and at.step:
                    again = f"{self.directory.path}{plugin_flags(self.directory.path)}"
                    error.add_note(f"   = help: cnnkit resume {again}")
                self._observers.end(end)
                self._log_notes()
