"""R4: damaged checkpoints: a RunError that names the file, or what was saved; nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import DAMAGES, Damage

from cnnkit import Model
from cnnkit.arrays import flatten
from cnnkit.errors import RunError
from cnnkit.runs.checkpoint import Checkpoint

pytestmark = pytest.mark.reliability


def _header(data: bytearray) -> tuple[dict, bytes]:
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), bytes(data[end:])


def _join(header: dict, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def swap_tensors(data: bytearray, rng: np.random.Generator) -> bytes:
    """Two tensors of one shape change places in the file's table of contents."""
    header, body = _header(data)
    alike: dict[str, list[str]] = {}
    for name, facts in header.items():
        if name != "__metadata__":
            alike.setdefault(str([facts["dtype"], facts["shape"]]), []).append(name)
    pairs = [names for names in alike.values() if len(names) > 1]
    a, b = rng.choice(pairs[rng.integers(len(pairs))], 2, replace=False)
    header[a], header[b] = header[b], header[a]
    return _join(header, body)


def rename(data: bytearray, rng: np.random.Generator) -> bytes:
    header, body = _header(data)
    name = rng.choice([name for name in header if name != "__metadata__"])
    header[f"{name}x"] = header.pop(name)
    return _join(header, body)


def retype(data: bytearray, rng: np.random.Generator) -> bytes:
    header, body = _header(data)
    name = rng.choice([name for name in header if name != "__metadata__"])
    header[name]["dtype"] = str(rng.choice(["I32", "U32", "F16", "F64", "BF16"]))
    return _join(header, body)


def reshape(data: bytearray, rng: np.random.Generator) -> bytes:
    header, body = _header(data)
    name = rng.choice([name for name in header if name != "__metadata__"])
    header[name]["shape"] = [*header[name]["shape"][::-1], 1]
    return _join(header, body)


def edit_facts(data: bytearray, rng: np.random.Generator) -> bytes:
    """One character of what the file says about itself."""
    header, body = _header(data)
    facts = header["__metadata__"]
    key = str(rng.choice(list(facts)))
    place = int(rng.integers(len(facts[key])))
    other = chr(ord(facts[key][place]) ^ 1)
    facts[key] = facts[key][:place] + other + facts[key][place + 1 :]
    return _join(header, body)


EVERY: tuple[Damage, ...] = (*DAMAGES, swap_tensors, rename, retype, reshape, edit_facts)


def same_weights(a: dict, b: dict) -> bool:
    return list(a) == list(b) and all(
        a[name].dtype == b[name].dtype and a[name].tobytes() == b[name].tobytes() for name in a
    )


def loaded(load: Callable[[Path], Any], path: Path) -> Any:
    """Return what is loaded; None where it is refused by the name of the file."""
    try:
        return load(path)
    except RunError as error:
        told = str(error)
    assert str(path) in told
    return None


def test_a_run_s_checkpoint(cases, nursery, write_spec, tmp_path):
    [ended] = nursery.run(tmp_path, "run", write_spec(epochs=1), "--out", "run")
    assert ended.code == 0, ended.err
    path = tmp_path / "run" / "checkpoints" / "last.safetensors"
    good, whole = path.read_bytes(), Checkpoint.load(path)
    for case in cases(quick=1400, full=16000):
        damage = EVERY[case.number % len(EVERY)]
        path.write_bytes(damage(bytearray(good), case.rng))
        if found := loaded(Checkpoint.load, path):
            assert same_weights(found.weights, whole.weights), damage
            for slot, state in whole.optimizer.items():
                assert same_weights(found.optimizer[slot], state), damage
            assert (found.position, found.best, found.model, found.resolved) == (
                whole.position, whole.best, whole.model, whole.resolved
            )  # fmt: skip


def test_a_model_s_file(cases, nursery, write_spec, tmp_path):
    """The same through `Model.load`, which `predict` and `evaluate` use."""
    nursery.run(tmp_path, "run", write_spec(epochs=1), "--out", "run")
    path: Path = tmp_path / "run" / "checkpoints" / "best.safetensors"
    good, whole = path.read_bytes(), Model.load(path)
    for case in cases(quick=600, full=6000):
        damage = EVERY[case.number % len(EVERY)]
        path.write_bytes(damage(bytearray(good), case.rng))
        if found := loaded(Model.load, path):
            assert same_weights(flatten(found.weights), flatten(whole.weights)), damage
            assert (found.layers, found.classes) == (whole.layers, whole.classes)
