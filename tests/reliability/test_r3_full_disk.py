"""R3: a disk that is full for whatever a run writes: an error with the bytes, and nothing torn."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from cnnkit import Model
from cnnkit.layers import Dense
from cnnkit.runs.checkpoint import Checkpoint

pytestmark = pytest.mark.reliability

TOLD = re.compile(r"^error: cannot (write|append to) \S+ \(\d+ bytes\): (File too|No space)", re.M)
MADE = re.compile(r"^error: cannot (create folder|lock) \S+: No space", re.M)  # of unknown size
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"


def check(run: Path, code: int, err: str) -> None:
    """Hold a run that met a full disk against what is promised."""
    assert code == 2, err
    assert TOLD.search(err) or MADE.search(err), err
    assert "Traceback" not in err
    assert not [path for path in run.rglob(".*") if path.suffix == ".tmp"]
    kept = re.search(r"keeps the weights after epoch (\d+)", err)
    saved = [Checkpoint.load(path) for path in run.glob("checkpoints/*")]
    assert max((one.position.epoch for one in saved), default=0) >= (int(kept[1]) if kept else 0)
    assert not (run / "summary.json").exists()
    if (run / "status.json").exists():
        assert json.loads((run / "status.json").read_bytes())["status"] in ("failed", "running")


def test_a_limit_of_size(cases, nursery, write_spec, tmp_path):
    """The kernel refuses what goes beyond so many bytes of a file, in the middle of a write."""
    spec = write_spec(epochs=3)
    for case in cases(quick=5, full=20):
        run, limit = tmp_path / f"run-{case.number}", int(10 ** case.rng.uniform(0, 4.5))
        [ended] = nursery.run(tmp_path, "run", spec, "--out", run, before=LIMIT.format(limit))
        check(run, ended.code, ended.err)


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of so many bytes."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mount = shutil.which("mount")
    if not mount or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_small_disk(cases, nursery, write_spec, tmp_path):
    spec = write_spec(epochs=3)
    for case in cases(quick=3, full=10):
        with disk(tmp_path / str(case.number), int(case.rng.integers(1, 17)) * 4096) as folder:
            [ended] = nursery.run(tmp_path, "run", spec, "--out", folder / "run")
            check(folder / "run", ended.code, ended.err)


FULL = """
import cnnkit.files.durable as durable
real, calls = durable.{name}, iter(range(99))
def full(*rest):
    if next(calls) >= {first}:
        raise OSError(28, "No space left on device")
    return real(*rest)
durable.{name} = full
"""


def test_the_lines_of_metrics(cases, nursery, write_spec, tmp_path):
    spec = write_spec(epochs=3)
    for first in cases.of(range(3), quick=1):
        run, before = tmp_path / f"run-{first}", FULL.format(name="_append", first=first)
        [ended] = nursery.run(tmp_path, "run", spec, "--out", run, before=before)
        check(run, ended.code, ended.err)
        assert f"{run}/metrics.jsonl (" in ended.err
        epochs = (run / "metrics.jsonl").read_text().count("\n")
        keeps = f"the weights after epoch {first}" if first else "no weights: no epoch was saved"
        assert (epochs, f"keeps {keeps}\n" in ended.err) == (first, True)


def test_the_first_error_is_told_where_its_end_cannot_be_written(
    cases, nursery, write_spec, tmp_path
):
    """Neither the status nor the log: what went wrong before stands first, with its exit code."""
    spec = write_spec(old="lr = 0.01", new="lr = 1e38")
    for name, first, lost in cases.of([("_append", 0, "log.txt"), ("_write_new", 4, "status.js")]):
        run, before = tmp_path / f"run-{name}", FULL.format(name=name, first=first)
        [ended] = nursery.run(tmp_path, "run", spec, "--out", run, before=before)
        lines = ended.err.splitlines()
        assert ended.code == 1, ended.err
        told = next(i for i, line in enumerate(lines) if line.startswith("error: "))
        assert "not finite" in lines[told]
        [note] = [line for line in lines[told:] if lost in line]
        assert re.fullmatch(rf"   = note: cannot \w+( to)? \S+{lost}\S* \(\d+ bytes\): No .*", note)


def test_an_older_file(cases, nursery, tmp_path):
    """`Model.save` over a good file, from Python."""
    old = Model.build([Dense(units=3)], (1, 4, 4))
    old.save(tmp_path / "old.safetensors")
    size = (tmp_path / "old.safetensors").stat().st_size
    for case in cases(quick=2, full=10):
        before = f"""
{LIMIT.format(int(case.rng.integers(1, size)))}
from cnnkit import Model
from cnnkit.errors import RunError
from cnnkit.layers import Dense
try:
    Model.build([Dense(units=3)], (1, 4, 4), seed=1).save("old.safetensors")
except RunError as error:
    print(error)
"""
        [ended] = nursery.run(tmp_path, before=before)
        assert TOLD.match(f"error: {ended.out}"), ended
        assert [path.name for path in tmp_path.iterdir()] == ["old.safetensors"]
        again = Model.load(tmp_path / "old.safetensors")
        np.testing.assert_array_equal(again.weights["0_dense"]["W"], old.weights["0_dense"]["W"])


def test_the_cache_of_downloads(cases, nursery, tmp_path):
    body = bytes(range(256)) * 64
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "file.gz").write_bytes(body)
    for case in cases(quick=2, full=10):
        before = f"""
{LIMIT.format(int(case.rng.integers(1, len(body))))}
from hashlib import sha256
from pathlib import Path
from cnnkit.base import DataPaths
from cnnkit.datasets.download import Remote, download
from cnnkit.errors import DataUnavailable
mirror = Path("published").resolve().as_uri() + "/"
body = Path("published/file.gz").read_bytes()
file = Remote("file.gz", len(body), sha256(body).hexdigest())
try:
    download((mirror,), Path("cache/file.gz"), file, DataPaths())
except DataUnavailable as error:
    print(error)
"""
        [ended] = nursery.run(tmp_path, before=before)
        assert f"cannot keep its {len(body)} bytes: File too large" in ended.out, ended
        assert list((tmp_path / "cache").iterdir()) == []
