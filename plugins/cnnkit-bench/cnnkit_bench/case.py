"""Case: one network with its weights and images, in a folder that workers read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cnnkit.arrays import Array, Shape

from cnnkit_bench.network import Op

_WEIGHTS = "weights/"


@dataclass(frozen=True)
class Case:
    """What every peer is given.

    Args:
        spec: path of the spec.
        dataset: type of the dataset in use: the spec's, or the fallback it names.
        overrides: what `--set` lays over it.
        shape: shape of one image, (C, H, W).
        ops: the network.
        loss: type of the loss.
        optimizer: the optimizer's type and options.
        weights: initial weights by path.
        fixed: paths of those that do not learn: running means and variances.
        images: as the dataset has them, (N, *shape before the transforms), uint8 or float.
        inputs: the same after the transforms, (N, C, H, W) float32.
        labels: class indices, (N,) int64.
    """

    spec: str
    dataset: str
    overrides: list[str]
    shape: Shape
    ops: tuple[Op, ...]
    loss: str
    optimizer: dict[str, Any]
    fixed: list[str]
    weights: dict[str, Array]
    images: Array
    inputs: Array
    labels: Array

    def save(self, folder: Path) -> None:
        """Write network.json and arrays.npz."""
        facts = {
            "spec": self.spec,
            "dataset": self.dataset,
            "overrides": self.overrides,
            "shape": self.shape,
            "ops": [asdict(op) for op in self.ops],
            "loss": self.loss,
            "optimizer": self.optimizer,
            "fixed": self.fixed,
        }
        (folder / "network.json").write_text(json.dumps(facts), encoding="utf-8")
        weights: dict[str, Any] = {f"{_WEIGHTS}{path}": w for path, w in self.weights.items()}
        np.savez(
            folder / "arrays.npz",
            **weights,
            images=self.images,
            inputs=self.inputs,
            labels=self.labels,
        )

    @classmethod
    def load(cls, folder: Path) -> Case:
        """Read what `save` wrote."""
        facts = json.loads((folder / "network.json").read_text(encoding="utf-8"))
        facts["ops"] = tuple(map(Op.from_json, facts["ops"]))
        facts["shape"] = tuple(facts["shape"])
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = dict(file)
        weights = {
            name.removeprefix(_WEIGHTS): arrays.pop(name)
            for name in list(arrays)
            if name.startswith(_WEIGHTS)
        }
        return cls(**facts, weights=weights, **arrays)

    def decays(self, path: str) -> bool:
        """Tell if weight decay touches a weight; biases and those of a batch_norm have none."""
        return path.endswith("/W")

    def optimizer_option(self, name: str, default: float = 0.0) -> Any:
        """Return an option of the optimizer."""
        return self.optimizer.get(name, default)
