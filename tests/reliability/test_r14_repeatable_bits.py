"""R14: the same spec gives the same bits: again, under any hash seed, with any plugins in any
order, on any number of threads, on each backend. Interrupts are R10's, kills R1's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.reliability

LAYERS = {
    "plain": '"relu"',
    "dropout": '{ type = "dropout", rate = 0.3 }',
    "residual": '{ type = "residual", body = [{ type = "conv", filters = 4, kernel = 1 }] }',
}
PLUGIN = """
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Layer
class One(Layer):
    '''The identity.'''
    type: Literal["{name}"] = "{name}"
    def forward(self, x, w, ctx):
        return x, lambda dy: (dy, {{}})
@hookimpl
def cnnkit_layers():
    return [One]
"""


@pytest.fixture(params=LAYERS)
def spec(request, write_spec, backend) -> Path:
    path = write_spec(epochs=2, threads=2, old='"relu"', new=LAYERS[request.param])
    path.write_text(f'{path.read_text()}backend = "{backend}"\n')
    return path


@pytest.fixture
def expected(nursery, spec, tmp_path) -> str:
    [ended] = nursery.run(tmp_path, "run", spec, "--out", "first")
    assert ended.code == 0, ended.err
    used = json.loads((tmp_path / "first" / "env.json").read_bytes())["backend"]["type"]
    assert f'backend = "{used}"' in spec.read_text()
    return weights(tmp_path / "first")


def weights(run: Path) -> str:
    return str(json.loads((run / "summary.json").read_bytes())["weights_sha256"])


def test_again(cases, nursery, spec, expected, tmp_path):
    for case in cases(quick=1, full=2):
        nursery.run(tmp_path, "run", spec, "--out", f"run-{case.number}")
        assert weights(tmp_path / f"run-{case.number}") == expected


def test_threads(cases, nursery, spec, expected, tmp_path):
    for threads in cases.of([1, 3, 2, 8], quick=1):
        given = ["--set", f"train.threads={threads}"]
        [ended] = nursery.run(tmp_path, "run", spec, "--out", f"run-{threads}", *given)
        assert ended.code == 0, ended.err
        assert weights(tmp_path / f"run-{threads}") == expected


def site(folder: Path, *names: str) -> str:
    """Install plugins into a folder; return it."""
    for name in names:
        info = folder / f"cnnkit_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"cnnkit_{name}.py").write_text(PLUGIN.format(name=name))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: cnnkit-{name}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[cnnkit]\n{name} = cnnkit_{name}\n")
    return str(folder)


def test_hash_seeds_and_plugins(cases, spec, expected, tmp_path):
    """In fresh interpreters, with plugins that are found in another order."""
    sites = [site(tmp_path / "a", "a", "b"), site(tmp_path / "z", "y", "c")]
    for seed in cases.of(range(10), quick=1):
        places = [[], sites[:1], sites[::-1], sites][seed % 4]
        names = {"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(places)}
        kept = {key: v for key, v in os.environ.items() if key != "CNNKIT_PLUGINS"}
        done = subprocess.run(
            [sys.executable, "-m", "cnnkit", "run", spec, "--out", tmp_path / f"run-{seed}"],
            env=kept | names, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert weights(tmp_path / f"run-{seed}") == expected
