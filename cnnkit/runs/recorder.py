"""Recorder: writes what a training session does into its run directory."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cnnkit.arrays import flatten
from cnnkit.base import Data, Epoch
from cnnkit.engine.trainer import Trainer
from cnnkit.errors import RunError
from cnnkit.files.tensors import digest
from cnnkit.provenance import suppliers
from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.runs.directory import Kind, RunDirectory
from cnnkit.runs.environment import environment
from cnnkit.specfile.resolved import resolved_toml
from cnnkit.specfile.runspec import RunSpec


class Recorder:
    """Keeps a run directory abreast of a trainer.

    Args:
        directory: where to write.
        spec: what is being run.
        trainer: where weights and optimizer state are read from.
    """

    def __init__(
        self, directory: RunDirectory, spec: RunSpec, trainer: Trainer, data: Data
    ) -> None:
        self._directory, self._spec, self._trainer = directory, spec, trainer
        plugins = suppliers(spec, spec.registry)
        resolved = resolved_toml(spec)
        versions = {
            **environment(plugins),
            "backend": {"type": spec.train.backend.type, **spec.train.backend.describe()},
            "data": {"name": data.name, "sha256": data_digest(data)},
        }
        self._made_with: dict[str, Any] = {
            "spec_text": spec.source.text, "resolved": resolved,
            "plugins": plugins, "versions": versions,
        }  # fmt: skip
        self._best: dict[str, Any] | None = None
        self.epochs: list[Epoch] = []
        """The records so far."""
        directory.write("spec.toml", spec.source.raw)
        directory.write("resolved.toml", resolved)
        directory.write("env.json", versions)

    def record(self, epoch: Epoch) -> None:
        """Write an epoch's line, its checkpoint, and a second one where it is the best so far.

        The line comes first: a checkpoint promises that everything up to it is on record.
        """
        self.epochs.append(epoch)
        self._directory.append_epoch(asdict(epoch))
        figures = epoch.validation or {"loss": epoch.train_loss}
        best = self._best is None or _better(figures, self._best)
        if best:
            self._best = {"epoch": epoch.epoch, **figures}
        self._save("last", epoch)
        if best:
            self._save("best", epoch)
        self._directory.write_status("running", epoch=epoch.epoch)

    def conclude(
        self, dataset: str, samples: int, test: dict[str, Any], remarks: list[str]
    ) -> dict[str, Any]:
        """Write and return the summary.

        Args:
            dataset: type of the dataset really used.
            samples: training samples per epoch.
            test: loss and metrics on the test split.
            remarks: what there is to say of the figures.
        """
        seconds = sum(epoch.seconds for epoch in self.epochs)
        summary = {
            "status": "done",
            "dataset": dataset,
            "seed": self._spec.seed,
            "epochs": len(self.epochs),
            "train": {
                "loss": self.epochs[-1].train_loss,
                "seconds": seconds,
                "samples_per_second": samples * len(self.epochs) / seconds,
            },
            "test": test,
            "remarks": remarks,
            "weights_sha256": digest(flatten(self._trainer.model.weights)),
        }
        self._directory.write("summary.json", summary)
        self._directory.write_status("done", epoch=len(self.epochs))
        return summary

    def saved(self) -> int:
        """Return the epoch of the last checkpoint; 0 where there is none to be read.

        The file is asked: Ctrl-C may fall between a save and any note of it.
        """
        try:
            return Checkpoint.load(self._directory.checkpoint("last")).epoch
        except RunError:
            return 0

    def kept(self) -> str:
        """Say what of the network the run directory holds."""
        if saved := self.saved():
            return f"the weights after epoch {saved}"
        if not self._directory.path.exists():
            return "nothing: it is gone"
        return f"no weights: no epoch was {'saved' if self.epochs else 'finished'}"

    def _save(self, kind: Kind, epoch: Epoch) -> None:
        Checkpoint(
            weights=flatten(self._trainer.model.weights),
            optimizer=self._trainer.optimizer_state,
            epoch=epoch.epoch,
            step=self._trainer.step,
            best=self._best,
            model=self._trainer.model.describe(self._spec.registry),
            **self._made_with,
        ).save(self._directory.checkpoint(kind))


def data_digest(data: Data) -> str:
    """Return the sha256 of the images and labels of both splits."""
    splits = {"train": data.train, "test": data.test}
    arrays = {f"{name}/images": split.images for name, split in splits.items()}
    return digest(arrays | {f"{name}/labels": split.labels for name, split in splits.items()})


def _better(now: dict[str, Any], before: dict[str, Any]) -> bool:
    """Compare validation accuracy, or the loss where accuracy is not measured."""
    if "accuracy" in now:
        return bool(now["accuracy"] > before["accuracy"])
    return bool(now["loss"] < before["loss"])
