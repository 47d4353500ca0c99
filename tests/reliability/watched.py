"""Loads hostile checkpoints and watches, by an audit hook, what the interpreter does meanwhile.

`python watched.py GOOD SEED COUNT`, in a folder of its own; prints the cases that went wrong. Hooks
stay for good, so this has a process to itself.
"""

from __future__ import annotations

import copy
import json
import pickle
import pkgutil
import resource
import sys
import time
import warnings
import zipfile
from contextlib import suppress
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

import cnnkit
from cnnkit import Model
from cnnkit.errors import RunError
from cnnkit.files.tensors import _seal, load_tensors
from cnnkit.hookspecs import FAMILIES
from cnnkit.plugins import load_plugins
from cnnkit.runs.checkpoint import Checkpoint

SECONDS, MEMORY = 2.0, 300 * 2**20
FORBIDDEN = (
    "import", "exec", "compile", "open", "subprocess", "os.", "socket", "ctypes", "pickle",
    "marshal", "shutil", "urllib", "tempfile", "mmap", "code.", "cpython.run", "glob", "pty",
)  # fmt: skip
FILE = Path("case.safetensors")
ALLOWED = {str(FILE), "/sys/fs/cgroup/memory.max"}  # the memory that there is


class Evil:
    """Leaves a file behind wherever it is unpickled."""

    def __reduce__(self) -> Any:
        return (exec, ("open('unpickled', 'w')",))


def zipped() -> bytes:
    """Return what PyTorch's format looks like."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil()))
    return buffer.getvalue()


def objects() -> bytes:
    buffer = BytesIO()
    np.save(buffer, np.array([Evil()]), allow_pickle=True)
    return buffer.getvalue()


FILES = [
    b"", pickle.dumps(Evil()), pickle.dumps(Evil(), protocol=0), zipped(), objects(),
    b"\x89HDF\r\n\x1a\n" + bytes(500), b"#!/bin/sh\ntouch run\n", b"import os\nos.mkdir('run')\n",
    b"<html>", (2**62).to_bytes(8, "little") + b"{}", b"GGUF" + bytes(100),
]  # fmt: skip
VALUES: list[Any] = [
    None, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, 1e308, float("nan"), float("inf"), True, "", "relu",
    "os:system", "cnnkit.layers:Conv", "builtins:eval", "__import__('os')", "../../x", "a\0b",
    "/etc/passwd", "x" * 100_000, "\x1b[2J", "\ud800", [], [1], {}, {"type": "relu"}, [[]] * 1000,
    {"type": "conv", "filters": 10**9, "kernel": 1}, {"type": "dense", "units": 2**31},
    {"type": "residual", "body": ["relu"] * 3}, {"__class__": "os.system", "args": ["touch run"]},
    ["relu"] * 5000, {"type": "conv", "filters": 1, "kernel": 1, "padding": 60_000},
    {"type": "eval", "code": "open('run', 'w')"}, {"$ref": "file:///etc/passwd"},
]  # fmt: skip


def deep(count: int = 400) -> Any:
    made: Any = "relu"
    for _ in range(count):
        made = {"type": "residual", "body": [made]}
    return made


def craft(tensors: dict[str, Any], facts: Any) -> bytes:
    """Return a file whose seal is right, whatever it says."""
    text = json.dumps([list(tensors), facts])
    meta = {"cnnkit_format": "1", "cnnkit_meta": text, "sha256": _seal(tensors, text)}
    return safetensors.numpy.save(tensors, meta)


def spots(value: Any, depth: int = 8) -> list[tuple[Any, Any]]:
    """Return every place in plain data, as container and key."""
    own = [(value, key) for key, _ in (value.items() if isinstance(value, dict) else
                                       enumerate(value))]  # fmt: skip
    inner = [box[key] for box, key in own if depth and isinstance(box[key], dict | list)]
    return [*own, *(one for box in inner for one in spots(box, depth - 1))]


def spoil_facts(facts: dict[str, Any], rng: np.random.Generator) -> None:
    """Put something else at one place of what the file says of itself."""
    found = spots({"all": facts})[1:]
    box, key = found[rng.integers(len(found))]
    match rng.integers(6):
        case 0 if isinstance(box, dict):
            del box[key]
        case 1 if isinstance(box, dict):
            box[VALUES[rng.integers(14, 20)]] = box.pop(key)
        case 2 if isinstance(box, list):
            box.insert(key, copy.deepcopy(VALUES[rng.integers(len(VALUES))]))
        case 3:
            box[key] = deep()
        case _:
            box[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])


def spoil_tensors(tensors: dict[str, Any], rng: np.random.Generator) -> None:
    """Make something else of one array."""
    name = sorted(tensors)[rng.integers(len(tensors))]
    array = tensors[name]
    match rng.integers(7):
        case 0:
            del tensors[name]
        case 1:
            tensors[f"{name}/deeper" if rng.integers(2) else "weights"] = tensors.pop(name)
        case 2:
            tensors[name] = array.astype(["f2", "f8", "i4", "u1"][rng.integers(4)])
        case 3:
            tensors[name] = array.reshape(-1)
        case 4:
            tensors[name] = np.full_like(array, [np.nan, np.inf, -np.inf][rng.integers(3)])
        case 5:
            tensors["weights/../../x"] = array
        case 6:
            tensors[name] = array[:0].copy() if array.ndim else np.zeros(3, "f4")


def case(number: int, seed: int, good: tuple[dict[str, Any], dict[str, Any]]) -> bytes:
    """Return the bytes of one case."""
    rng = np.random.default_rng([seed, number])
    if number < len(FILES):
        return FILES[number]
    tensors, facts = dict(good[0]), copy.deepcopy(good[1])
    for _ in range(rng.integers(1, 3)):
        if rng.random() < 0.7:
            spoil_facts(facts, rng)
        elif tensors:
            spoil_tensors(tensors, rng)
    return craft(tensors, facts)


class Watch:
    """Notes what is done while it is on."""

    def __init__(self) -> None:
        self.on, self.seen = False, list[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or not event.startswith(FORBIDDEN):
            return
        if event == "open" and str(arguments[0]) in ALLOWED and arguments[1] in ("rb", "r"):
            return
        self.on = False  # to note it is no part of it
        self.seen.append(f"{event} {str(arguments)[:200]}")
        self.on = True


def load(load_one: Any, watch: Watch) -> str:
    """Return what went wrong, or nothing."""
    began, watch.seen[:] = time.process_time(), []
    wrong = ""
    watch.on = True
    try:
        load_one()
    except RunError as error:
        watch.on = False
        wrong = "" if str(FILE) in str(error) else f"does not name the file: {error}"
    except Exception as error:
        watch.on = False
        wrong = f"{type(error).__name__}: {error}"[:300]
    watch.on = False
    if not wrong and watch.seen:
        wrong = watch.seen[0]
    if not wrong and time.process_time() - began > SECONDS:
        wrong = f"took {time.process_time() - began:.1f} s"
    return wrong


def main(good_file: str, seed: int, count: int) -> None:
    """Load every case as a model and as a checkpoint."""
    warnings.simplefilter("ignore")  # of other versions of plugins
    for module in pkgutil.walk_packages(cnnkit.__path__, "cnnkit."):  # errors import some of them
        if module.name != "cnnkit.__main__":
            import_module(module.name)
    good, registry = load_tensors(Path(good_file)), load_plugins()
    for family in FAMILIES:
        for entry in registry.entries(family):  # pydantic makes validators when they are asked for
            with suppress(ValueError):
                entry.cls.model_validate({})
    loads = (lambda: Model.load(FILE, registry), lambda: Checkpoint.load(FILE))
    watch, faults, passed = Watch(), [], 0
    for number in range(-20, count):  # the first import what errors take
        FILE.write_bytes(case(abs(number), seed, good))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wrong = next(filter(None, (load(one, watch) for one in loads)), "")
        if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 > MEMORY:
            wrong = wrong or "takes too much memory"
        if number >= 0:
            passed += not wrong
            faults += [f"case {number}: {wrong}"] if wrong else []
    left = sorted(path.name for path in Path().iterdir() if path.name not in (FILE.name,))
    print(json.dumps({"passed": passed, "faults": faults[:20], "left": left}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
