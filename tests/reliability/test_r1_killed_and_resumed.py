"""R1: killed at any moment, as often as may be, a run that goes on ends as if nothing had been, on
NumPy and, where it is installed, on the compiled backend."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

pytestmark = pytest.mark.reliability

CALLBACKS = '"ema", { type = "plateau", patience = 1 }, { type = "early_stopping", patience = 3 }'
KINDS = {
    "sgd": ('"relu"', '"relu"'),
    "dropout, cosine": ('"relu"', '"relu", { type = "dropout", rate = 0.3 }'),
    "residual": (
        '"relu"',
        '{ type = "residual", body = [{ type = "conv", filters = 4, kernel = 1 }] }',
    ),
    "two threads": ("threads = 1", "threads = 2"),
    "state of a plugin": ('"relu"', '"counted"'),
    "callbacks": ("threads = 1", f"threads = 1\ncallbacks = [{CALLBACKS}]"),
}
"""Name -> what of the spec is replaced by what."""
OPTIMIZER = {
    "sgd": 'type = "sgd"\nmomentum = 0.9\nlr = 0.01',
    "dropout, cosine": 'type = "adam"\nlr = 0.01\nschedule = "cosine"',
}
EPOCHS = 8
PLUGIN = '''
"""A layer with state: a learned shift, and a weight that does not learn."""
from typing import Literal
from cnnkit import hookimpl
from cnnkit.base import Layer, Weight
class Counted(Layer):
    """x + shift * fixed."""
    type: Literal["counted"] = "counted"
    def weights(self, shape):
        return {"shift": Weight((1,), 0.1), "fixed": Weight((1,), 0.5, learns=False)}
    def forward(self, x, w, ctx):
        def backward(dy):
            return dy, {"shift": dy.sum() * w["fixed"]}
        return x + w["shift"] * w["fixed"], backward
@hookimpl
def cnnkit_layers():
    return [Counted]
'''
IMPORT = """
import os, sys
os.environ["CNNKIT_PLUGINS"] = "cnnkit-counted,cnnkit-native"
sys.path.insert(0, "{site}")
"""


def records(run: Path) -> list[dict[str, object]]:
    """Return the epochs of a run, times aside."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if "second" not in k} for line in lines]


def sha256(run: Path) -> str:
    return str(json.loads((run / "summary.json").read_bytes())["weights_sha256"])


def computed_by(run: Path) -> str:
    return str(json.loads((run / "env.json").read_bytes())["backend"]["type"])


def is_done(run: Path) -> bool:
    status = run / "status.json"
    return status.exists() and json.loads(status.read_bytes())["status"] == "done"


def install(folder: Path) -> str:
    """Install the plugin into a folder; return what a child runs to see it."""
    info = folder / "cnnkit_counted-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "cnnkit_counted.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cnnkit-counted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cnnkit]\ncounted = cnnkit_counted\n")
    return IMPORT.format(site=folder)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_again_and_again(cases, nursery, write_spec, tmp_path, kind, backend):
    old, new = KINDS[kind]
    spec = write_spec(epochs=EPOCHS, old=old, new=new)
    optimizer = OPTIMIZER.get(kind, 'type = "adam"\nlr = 0.01')
    text = spec.read_text().replace('type = "adam"\nlr = 0.01', optimizer)
    spec.write_text(f'{text}checkpoint = {{ steps = 3 }}\nbackend = "{backend}"\n')
    before = install(tmp_path / "site") if kind == "state of a plugin" else ""
    [whole] = nursery.run(tmp_path, "run", spec, "--out", "whole", before=before)
    assert whole.code == 0, whole.err
    assert computed_by(tmp_path / "whole") == backend

    kills, saving, run = 0, 0, 0
    for case in cases(quick=6, full=100):  # each a kill
        run += is_done(tmp_path / f"run-{run}")  # and killed while it left its report
        out = tmp_path / f"run-{run}"
        resume = ["resume", out] if (out / "spec.toml").exists() else ["run", spec, "--out", out]
        kill = [(float(case.rng.uniform(0.05, 0.5)), 0, signal.SIGKILL)]
        [ended] = nursery.run(tmp_path, *resume, kill=kill, before=before)
        if ended.code == -signal.SIGKILL:
            kills += 1
            saving += bool(list(out.rglob(".*.tmp")))
            if not (out / "env.json").exists() or not list(out.glob("checkpoints/last.*")):
                run += 1  # it had hardly begun, and says so when asked to go on
        else:
            assert ended.code == 0, ended.err
            assert (sha256(out), records(out)) == (
                sha256(tmp_path / "whole"), records(tmp_path / "whole"),
            )  # fmt: skip
            run += 1
    out = tmp_path / f"run-{run}"
    if not is_done(out) and list(out.glob("checkpoints/last.*")):
        [ended] = nursery.run(tmp_path, "resume", out, before=before)
        assert ended.code == 0, ended.err
        assert sha256(out) == sha256(tmp_path / "whole")
        assert records(out) == records(tmp_path / "whole")
    print(f"{kind} on {backend}: {kills} kills, {saving} of them inside a save")
    assert not cases.full or saving >= kills / 5
