"""Warm start: the weights of another run or file, taken where they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from cnnkit.arrays import Array, flatten
from cnnkit.base.place import spoken
from cnnkit.errors import RunError
from cnnkit.files.durable import read_bytes
from cnnkit.files.tensors import load_tensors
from cnnkit.model import Model
from cnnkit.runs.directory import find_run
from cnnkit.specfile.runspec import RunSpec

_PREFIX = "weights/"  # of their names in a file


class Origin(NamedTuple):
    """Where the first weights of a run came from."""

    file: str
    sha256: str


def warm_start(spec: RunSpec, model: Model, say: Callable[[str], None]) -> Origin | None:
    """Take the weights that `[model] weights` names into a fresh model, and say for each layer what
    was taken; None where it names none.

    Raises:
        RunError: where the file cannot be read, nothing in it fits, or, under `strict`, anything
            does not.
    """
    if spec.model.weights is None:
        return None
    path = spec.source.folder / spec.model.weights
    path = find_run(path).checkpoint("last") if path.is_dir() else path
    origin = Origin(str(path), hashlib.sha256(read_bytes(path)).hexdigest())
    own = flatten(model.weights)
    tensors = load_tensors(path)[0].items()
    found = {n.removeprefix(_PREFIX): a for n, a in tensors if n.startswith(_PREFIX)}
    wrong = list(_misfits(own, found))
    if spec.model.strict and wrong:
        more = f", and {len(wrong) - 1} more do not fit" * (len(wrong) > 1)
        raise RunError(
            f"cannot start from {path}: {wrong[0]}{more}"
            "\n   = help: [model] strict = false takes what fits, and draws the rest"
        )
    taken = [name for name, w in own.items() if name in found and found[name].shape == w.shape]
    if not taken:
        raise RunError(f"cannot start from {path}: none of its weights fits: {wrong[0]}")
    for name in taken:
        own[name][...] = found[name]
    lines = _report(own, found) if wrong else ["  all taken"]
    say("\n".join([f"weights of {path} (sha256 {origin.sha256[:12]}):", *lines]))
    return origin


def _misfits(own: Mapping[str, Array], found: Mapping[str, Array]) -> Iterator[str]:
    """Yield a phrase for each weight that is missing, of another shape, or unknown here."""
    for name, w in own.items():
        if name not in found:
            yield f"it has no {name}"
        elif found[name].shape != w.shape:
            yield f"{name} is {_size(found[name])} there, and {_size(w)} here"
    yield from (f"{name} is no weight of this network" for name in found if name not in own)


def _report(own: Mapping[str, Array], found: Mapping[str, Array]) -> Iterator[str]:
    """Yield a line for each layer: taken, or which weights are not, and why."""
    layers = dict.fromkeys(name.rpartition("/")[0] for name in [*own, *found])
    for layer in layers:
        mine = {n: w for n, w in own.items() if n.rpartition("/")[0] == layer}
        theirs = {n: w for n, w in found.items() if n.rpartition("/")[0] == layer}
        wrong = list(_misfits(mine, theirs))
        fits = len(mine) - sum(
            n not in theirs or theirs[n].shape != w.shape for n, w in mine.items()
        )
        how = "taken" if not wrong else "taken in part" if fits else "drawn anew"
        how = how if mine else "not used"
        yield f"  {spoken(layer)}: {how}{': ' if wrong else ''}{'; '.join(wrong)}"


def _size(w: Array) -> str:
    return "x".join(map(str, w.shape)) or "one number"
