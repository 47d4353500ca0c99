"""Recorder: writes what a training session does into its run directory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from cnnkit.arrays import counted, flatten
from cnnkit.base import Data, Epoch
from cnnkit.engine.progress import Position
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import RunError
from cnnkit.files.tensors import digest
from cnnkit.provenance import files_behind, suppliers
from cnnkit.runs.checkpoint import Checkpoint, position_in
from cnnkit.runs.directory import Kind, RunDirectory
from cnnkit.runs.environment import computed_by, environment
from cnnkit.runs.kept import keep_plugin, plugin_facts
from cnnkit.runs.warm import Origin
from cnnkit.specfile.resolved import resolved_toml
from cnnkit.specfile.runspec import RunSpec


class Recorder:
    """Keeps a run directory abreast of a trainer.

    Args:
        directory: where to write.
        spec: what is being run.
        trainer: where weights and optimizer state are read from.
        data: what it is trained on.
        origin: where its first weights came from, if not drawn.
    """

    def __init__(
        self,
        directory: RunDirectory,
        spec: RunSpec,
        trainer: Trainer,
        data: Data,
        origin: Origin | None = None,
    ) -> None:
        self._directory, self._spec, self._trainer = directory, spec, trainer
        plugins = suppliers(spec, spec.registry)
        self._files = files_behind(plugins, spec.registry)
        resolved = resolved_toml(spec)
        versions = {
            **environment(plugins),
            "backend": computed_by(spec.train.backend),
            "data": {"name": data.name, "sha256": data_digest(data)},
            **plugin_facts(self._files),
        }
        if origin is not None:
            versions["weights"] = origin._asdict()
        self._made_with: dict[str, Any] = {
            "spec_text": spec.source.text, "resolved": resolved,
            "plugins": plugins, "versions": versions,
        }  # fmt: skip
        self._best: dict[str, Any] | None = None
        self.epochs: list[Epoch] = []
        """The records so far."""
        self._saved = Position()
        self._when = time.monotonic()  # it was saved

    def begin(self) -> None:
        """Write what a run starts from."""
        self._directory.write("spec.toml", self._spec.source.raw)
        for number, file in enumerate(self._spec.source.includes, start=1):
            self._directory.write(f"included-{number}.toml", file.raw)
        self._directory.write("resolved.toml", self._made_with["resolved"])
        for name, plugin in self._files.items():
            keep_plugin(self._directory.path, name, plugin)
        self._directory.write("env.json", self._made_with["versions"])

    def go_on(self, point: Checkpoint, records: Sequence[dict[str, Any]]) -> None:
        """Take over what a run had recorded up to a checkpoint; what came later comes again.

        Raises:
            RunError: where epochs that the checkpoint counts are not on record.
        """
        records = records[: point.position.epoch]
        try:
            self.epochs = [Epoch(**record) for record in records]
        except TypeError as error:
            raise RunError(f"metrics.jsonl of {self._directory.path} is damaged: {error}") from None
        if [epoch.epoch for epoch in self.epochs] != list(range(1, point.position.epoch + 1)):
            raise RunError(
                f"metrics.jsonl of {self._directory.path} does not hold the "
                f"{counted(point.position.epoch, 'epoch')} that its checkpoint counts"
            )
        self._best, self._saved = point.best, point.position
        self._made_with["spec_text"] = point.spec_text
        if "weights" in point.versions:  # which were read when it began
            self._made_with["versions"]["weights"] = point.versions["weights"]
        self._directory.write_status("running", epoch=point.position.epoch)
        self._directory.rewrite_epochs(records)
        self._directory.write("resolved.toml", self._made_with["resolved"])
        if point.position.index == 0 and self.saved() == point.position:
            self._keep_epoch(point.position.epoch)  # it may have been killed just before

    def record(self, epoch: Epoch) -> Epoch:
        """Write an epoch's line, and return it with the sha256 of the weights. It comes before the
        checkpoint, which promises that everything up to it is on record."""
        epoch = replace(epoch, weights_sha256=digest(flatten(self._trainer.model.weights)))
        self.epochs.append(epoch)
        self._directory.append_epoch(asdict(epoch))
        return epoch

    def save_epoch(self, epoch: Epoch) -> None:
        """Save the checkpoint of an epoch, before it a second one where it is the best so far: a
        run that goes on from "last" comes by the best again."""
        figures = epoch.validation or {"loss": epoch.train_loss}
        best = self._best is None or _better(figures, self._best, self._spec)
        if best:
            self._best = {"epoch": epoch.epoch, **figures}
            self._save("best")
        self.save()
        self._keep_epoch(epoch.epoch)
        self._directory.write_status("running", epoch=epoch.epoch)

    def _keep_epoch(self, epoch: int) -> None:
        if (most := self._spec.train.checkpoint.keep) is not None:
            self._directory.keep_epoch(epoch, most)

    def save(self, again: bool = False) -> None:
        """Save where training is, unless that is saved and not to be saved again."""
        if again or self._saved != self._trainer.position:
            self._directory.keep_before()
            self._save("last")
            self._saved, self._when = self._trainer.position, time.monotonic()

    def save_if_due(self) -> None:
        """Save within an epoch where the spec wants it so."""
        wanted, step = self._spec.train.checkpoint, self._trainer.step
        by_steps = wanted.steps is not None and step % wanted.steps == 0
        if by_steps or time.monotonic() - self._when >= wanted.seconds:
            self.save()

    def conclude(self, dataset: str, test: dict[str, Any], remarks: list[str]) -> dict[str, Any]:
        """Write and return the summary.

        Args:
            dataset: type of the dataset really used.
            test: loss and metrics on the test split; empty where there is none.
            remarks: what there is to say of the figures.
        """
        summary = summary_of(self._trainer, self._spec.seed, self.epochs, dataset, test, remarks)
        self._directory.write("summary.json", summary)
        self._directory.write_status("done", epoch=len(self.epochs))
        return summary

    def saved(self) -> Position:
        """Return where the last checkpoint is; at the start where there is none to be read.

        The file is asked: Ctrl-C may fall between a save and any note of it.
        """
        return position_in(self._directory.checkpoint("last"))

    def kept(self) -> str:
        """Say what of the network the run directory holds."""
        if (at := self.saved()).step:
            return f"the weights after {at}"
        if not self._directory.path.exists():
            return "nothing: it is gone"
        return f"no weights: no epoch was {'saved' if self.epochs else 'finished'}"

    def _save(self, kind: Kind) -> None:
        with self._trainer.callbacks.showing():
            Checkpoint(
                weights=flatten(self._trainer.model.weights),
                optimizer=self._trainer.optimizer_state,
                position=self._trainer.position,
                best=self._best,
                model=self._trainer.model.describe(self._spec.registry),
                memory=self._trainer.callbacks.memory,
                **self._made_with,
            ).save(self._directory.checkpoint(kind))


def summary_of(
    trainer: Trainer,
    seed: int,
    epochs: Sequence[Epoch],
    dataset: str,
    test: dict[str, Any],
    remarks: list[str],
) -> dict[str, Any]:
    """Return what summary.json says of a training that is done."""
    seconds = sum(epoch.seconds for epoch in epochs)
    samples = sum(epoch.seconds * epoch.samples_per_second for epoch in epochs)
    stopped = trainer.callbacks.stopped
    return {
        "status": "done",
        "dataset": dataset,
        "seed": seed,
        "epochs": len(epochs),
        **({"stopped": stopped} if stopped else {}),
        "train": {
            "loss": epochs[-1].train_loss,
            "seconds": seconds,
            "samples_per_second": samples / seconds,
        },
        "test": test,
        "remarks": remarks,
        "weights_sha256": digest(flatten(trainer.model.weights)),
    }


def data_digest(data: Data) -> str:
    """Return the sha256 of the images and labels of both splits."""
    splits = {"train": data.train, "test": data.test}
    arrays = {f"{name}/images": split.images for name, split in splits.items()}
    return digest(arrays | {f"{name}/labels": split.labels for name, split in splits.items()})


def _better(now: dict[str, Any], before: dict[str, Any], spec: RunSpec) -> bool:
    """Compare what the spec says, else accuracy, or the loss where that is not measured."""
    name = next((n for n in (spec.train.best, "accuracy") if n in now), "loss")
    higher = any(m.type == name and m.better == "higher" for m in spec.metrics)
    better: bool = now[name] > before[name] if higher else now[name] < before[name]
    return better
