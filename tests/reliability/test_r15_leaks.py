"""R15: thousands of steps, and hundreds of runs, in one process: memory, descriptors, threads and
processes stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.reliability,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc"),
]

MEGABYTE = 2**20
STEPS, EPOCH = 5000, 163  # of a batch of 8
LOOK = """
import json, os, resource
from pathlib import Path
from cnnkit import load_spec, train
from cnnkit.base import DataPaths
from cnnkit.runs.session import Session

def look():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    seen.append([pages * resource.getpagesize(), len(os.listdir("/proc/self/fd")),
                 len(os.listdir("/proc/self/task")), len(children)])

seen = []
"""
MANY_STEPS = """
spec, steps = load_spec("small.toml"), 0
def watch(progress):
    global steps
    steps += 1
    if steps % 250 == 0:
        look()
with Session(spec, DataPaths(), out=Path("run"), watch=watch) as session:
    for epoch in session.epochs():
        pass
    session.finish()
print(json.dumps(seen))
"""
MANY_RUNS = """
spec = load_spec("small.toml")
for number in range(200):
    train(spec, out=f"run-{number}")
    look()
print(json.dumps(seen))
"""


def observed(nursery, folder: Path, code: str) -> np.ndarray:
    """Return (looks, 4): bytes, descriptors, threads, processes; the first quarter left out."""
    [ended] = nursery.run(folder, before=LOOK + code, seconds=280)
    assert ended.code == 0, ended.err
    seen = np.array(json.loads(ended.out.splitlines()[-1]), float)
    return seen[len(seen) // 4 :]


def steady(counts: np.ndarray) -> bool:
    """Tell if counts stay as they are: a thread that has ended may still be listed for a moment."""
    early, late = np.array_split(counts, 2)
    return bool((early.min(axis=0) == late.min(axis=0)).all())


def slope(values: np.ndarray) -> float:
    """Return by how much a value grows from look to look."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def test_many_steps(cases, nursery, write_spec, tmp_path):
    for threads in cases.of([1, 2], quick=1):
        folder = tmp_path / str(threads)
        folder.mkdir()
        spec = write_spec(
            epochs=-(-STEPS // EPOCH), threads=threads, old="threads", new="batch = 8\nthreads"
        )
        spec.rename(folder / "small.toml")
        seen = observed(nursery, folder, MANY_STEPS)
        assert slope(seen[:, 0]) * 4 < MEGABYTE  # 250 steps a look
        assert steady(seen[:, 1:])


def test_many_runs(cases, nursery, write_spec, tmp_path):
    if not cases.full:
        pytest.skip("takes a minute: --full")
    for _ in cases.of(["threads"]):
        write_spec(epochs=1, threads=2)
        seen = observed(nursery, tmp_path, MANY_RUNS)
        assert slope(seen[:, 0]) < MEGABYTE / 50
        assert steady(seen[:, 1:])
