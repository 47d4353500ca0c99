"""`cnnkit predict`: name the classes of pictures or arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cnnkit.arrays import Array
from cnnkit.base import predicted_classes
from cnnkit.commands._console import News, emit, emit_json, table
from cnnkit.commands._inputs import Inputs, read_inputs
from cnnkit.commands._plugins import warn_of_broken
from cnnkit.commands._stored import load_model
from cnnkit.model import Model
from cnnkit.plugins import load_plugins
from cnnkit.pool import Pool


@dataclass(frozen=True, slots=True)
class Prediction:
    """One image's class; `probability` is None where the network gives no probabilities."""

    file: str
    index: int
    class_name: str
    class_index: int
    probability: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the fields under the names of the JSON output."""
        return {
            "file": self.file, "index": self.index, "class": self.class_name,
            "class_index": self.class_index, "probability": self.probability,
        }  # fmt: skip


def predict(
    run: Path,
    files: list[Path],
    /,
    *,
    checkpoint: Literal["last", "best"] = "last",
    quiet: bool = False,
    json: bool = False,
) -> None:
    """Name the classes of pictures or arrays.

    Args:
        run: a run directory, a checkpoint, or a file that Model.save wrote.
        files: pictures (any format that Pillow reads), or arrays as .npy or .npz.
        checkpoint: the weights after the "last" epoch (the default), or after the "best" one.
        quiet: print no notes about pictures that were brought to the model's size.
        json: print one JSON document.
    """
    news, registry = News(quiet), load_plugins()
    warn_of_broken(registry, news)
    model = load_model(run, checkpoint, registry)
    read = [read_inputs(file, model, news) for file in files]
    with Pool() as pool:
        found = [p for inputs in read for p in _predict(model, inputs, pool)]
    if json:
        emit_json([one.as_json() for one in found])
        return
    made = table("image", "class", "probability", right=("probability",))
    for inputs in read:
        for one in found[: len(inputs.images)]:
            share = "-" if one.probability is None else f"{one.probability:.4f}"
            made.add_row(inputs.label(one.index), one.class_name, share)
        del found[: len(inputs.images)]
    emit(made)


def _predict(model: Model, inputs: Inputs, pool: Pool) -> list[Prediction]:
    y = model.predict(inputs.images, pool=pool)
    classes, shares = predicted_classes(y), _probabilities(model, y)
    return [
        Prediction(
            str(inputs.file), index, _name(model, int(best)), int(best),
            None if shares is None else float(shares[index]),
        )
        for index, best in enumerate(classes)
    ]  # fmt: skip


def _probabilities(model: Model, y: Array) -> Array | None:
    """Return the probability of every predicted class, (N,), where the head gives such."""
    if y.shape[1] == 1:  # one output: the probability of class 1
        is_probability = model.layers[-1].type == "sigmoid"
        return np.maximum(y[:, 0], 1 - y[:, 0]) if is_probability else None
    highest: Array = y.max(axis=1)
    return highest if model.layers[-1].probabilities else None


def _name(model: Model, index: int) -> str:
    return model.classes[index] if index < len(model.classes) else str(index)
