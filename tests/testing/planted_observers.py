"""Bugs in observers."""

from __future__ import annotations

import json
import os
import threading
from typing import Literal

from planted import planted

from cnnkit.base import Observer


class Tally(Observer):
    """A line per event, in tally.txt."""

    type: Literal["tally"] = "tally"

    def start(self, run):
        self.add(run, f"{run.name}: {run.epochs} epochs on {run.samples} images")

    def epoch(self, run, record):
        self.add(run, f"{record.epoch} {json.dumps(record.validation)}")

    def end(self, run, summary):
        self.add(run, f"{summary['status']} after {summary['epochs']}")

    def add(self, run, line):
        with (run.path / "tally.txt").open("a") as file:
            file.write(f"{line}\n")


@planted("takes_any_record")
class WantsValidation(Tally):
    """A KeyError where nothing was set aside for validation."""

    type: Literal["wants_validation"] = "wants_validation"

    def epoch(self, run, record):
        self.add(run, f"{record.validation['loss']:.4f}")


@planted("takes_any_record")
class WantsNumbers(Tally):
    """A format that only numbers take."""

    type: Literal["wants_numbers"] = "wants_numbers"

    def epoch(self, run, record):
        for name, figure in (record.validation or {}).items():
            self.add(run, f"{name} {figure:.4f}")


@planted("takes_any_ending")
class WantsSuccess(Tally):
    """A KeyError where the run failed and there are no figures."""

    type: Literal["wants_success"] = "wants_success"

    def end(self, run, summary):
        self.add(run, f"{summary['test']['loss']:.4f}")


@planted("files_stay_in_the_run")
class OneForAll(Tally):
    """A file beside the run directory, which the next run adds to."""

    type: Literal["one_for_all"] = "one_for_all"

    def end(self, run, summary):
        with (run.path.parent / "all.txt").open("a") as file:
            file.write(f"{run.name}\n")


@planted("files_stay_in_the_run")
class MovesAway(Tally):
    """A file that is written in the run directory and moved out of it."""

    type: Literal["moves_away"] = "moves_away"

    def end(self, run, summary):
        super().end(run, summary)
        (run.path / "tally.txt").rename(run.path.parent / "tally.txt")


@planted("run_files_left_alone")
class EditsTheSpec(Tally):
    """A line added to resolved.toml, which then runs no longer."""

    type: Literal["edits_the_spec"] = "edits_the_spec"

    def start(self, run):
        with (run.path / "resolved.toml").open("a") as file:
            file.write("watched = true\n")


@planted("run_files_left_alone")
class TakesALog(Tally):
    """A log of its own, under the name of the run's."""

    type: Literal["takes_a_log"] = "takes_a_log"

    def epoch(self, run, record):
        (run.path / "log.txt").write_text(f"{record.epoch}\n")


_KEPT = []


@planted("leaves_nothing_open")
class KeepsOpen(Tally):
    """A file that nobody closes."""

    type: Literal["keeps_open"] = "keeps_open"

    def start(self, run):
        _KEPT.append(os.open(run.path / "kept.txt", os.O_WRONLY | os.O_CREAT))


@planted("leaves_nothing_open")
class KeepsThread(Tally):
    """A thread that nobody ends."""

    type: Literal["keeps_thread"] = "keeps_thread"

    def start(self, run):
        threading.Thread(target=threading.Event().wait, args=(20,), daemon=True).start()
