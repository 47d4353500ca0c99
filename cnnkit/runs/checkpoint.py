"""Checkpoint: a run's whole position in one file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnkit.arrays import Array, flatten, unflatten
from cnnkit.engine.callbacks import Memory
from cnnkit.engine.progress import Position
from cnnkit.errors import RunError
from cnnkit.files.tensors import load_tensors, save_tensors

_FACTS = {"position": dict, "best": dict | None, "spec_text": str, "resolved": str,
          "model": dict, "plugins": dict, "versions": dict}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that going on from here takes. Randomness is stateless: no generator is part of it."""

    weights: dict[str, Array]  # the model's, by path; also those that do not learn
    optimizer: dict[str, dict[str, Array]]  # by slot and path
    position: Position
    best: dict[str, Any] | None  # the record of the best epoch so far
    spec_text: str  # as given
    resolved: str  # with every default filled in
    model: dict[str, Any]  # what Model.describe says, so that the file is a model too
    plugins: dict[str, Any]  # the distribution and version behind every type in use
    versions: dict[str, Any]  # under others, equal bits are not promised
    memory: Memory | None = None  # of callbacks, where there are any

    def save(self, path: Path) -> None:
        """Write everything to `path`, durably.

        Raises:
            RunError: where it cannot be written; an older file at `path` then stays as it was.
        """
        tensors = {f"weights/{name}": array for name, array in self.weights.items()}
        for slot, arrays in self.optimizer.items():
            tensors |= {f"optimizer/{slot}/{name}": array for name, array in arrays.items()}
        facts = {name: getattr(self, name) for name in _FACTS}
        facts["position"] = asdict(self.position)
        if self.memory:
            arrays, facts["callbacks"] = _of_memory(self.memory)
            tensors |= arrays
        save_tensors(path, tensors, facts)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what `save` wrote.

        Raises:
            RunError: where the file is damaged or is not a checkpoint.
        """
        tensors, facts = load_tensors(path)
        if {"epoch", "step"} <= facts.keys():  # of 0.1, which saved at the ends of epochs alone
            facts["position"] = {"epoch": facts["epoch"], "step": facts["step"]}
        for name, kind in _FACTS.items():
            if name not in facts or not isinstance(facts[name], kind):
                raise RunError(f"{path} is not a checkpoint of a run: it does not say its {name}")
        weights: dict[str, Array] = {}
        optimizer: dict[str, dict[str, Array]] = {}
        remembered: dict[str, Array] = {}
        for name, array in tensors.items():
            match name.split("/", 2):
                case ["weights", *rest] if rest:
                    weights["/".join(rest)] = array
                case ["optimizer", slot, leaf]:
                    optimizer.setdefault(slot, {})[leaf] = array
                case ["moving" | "callbacks", _, *_]:
                    remembered[name] = array
                case _:
                    raise RunError(f"{path} is not a checkpoint of a run: it holds {name!r}")
        what = "position"
        try:
            facts[what] = Position(**facts[what])
            what = "callbacks"
            memory = _to_memory(remembered, facts[what]) if what in facts else None
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise RunError(f"{path} is not a checkpoint of a run: its {what}: {error}") from error
        return cls(weights, optimizer, **{name: facts[name] for name in _FACTS}, memory=memory)


def position_in(path: Path) -> Position:
    """Return the position of the checkpoint in `path`; the start where none can be read."""
    try:
        return Checkpoint.load(path).position
    except RunError:
        return Position()


def _of_memory(memory: Memory) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays by their names in the file, and the rest as plain data."""
    arrays = {f"moving/{path}": w for path, w in memory.moving.items()}
    numbers: dict[str, dict[str, Any]] = {}
    for place, state in memory.states.items():
        numbers[place] = {}
        for path, value in flatten(state).items():
            if isinstance(value, np.ndarray):
                arrays[f"callbacks/{place}/{path}"] = value
            else:
                numbers[place][path] = value
    return arrays, {"rate": memory.rate, "stopped": memory.stopped, "numbers": numbers}


def _to_memory(arrays: dict[str, Array], facts: dict[str, Any]) -> Memory:
    """Undo `_of_memory`."""
    flat = {place: dict(numbers) for place, numbers in facts["numbers"].items()}
    moving = {}
    for name, array in arrays.items():
        kind, _, path = name.partition("/")
        if kind == "moving":
            moving[path] = array
        else:
            place, _, path = path.partition("/")
            flat[place][path] = array
    states = {place: unflatten(state) for place, state in flat.items()}
    return Memory(float(facts["rate"]), str(facts["stopped"]), states, moving)
