"""R10: a signal ends a run at the next step, saved; a second one at once, with nothing torn."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

pytestmark = pytest.mark.reliability

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
ARMED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""  # a job in a shell's background ignores SIGINT, one under nohup SIGHUP
LAYERS = {
    "plain": '"relu"',
    "dropout": '{ type = "dropout", rate = 0.3 }',
    "residual": '{ type = "residual", body = [{ type = "conv", filters = 4, kernel = 1 }] }',
}


def sha256(run: Path) -> str:
    return str(json.loads((run / "summary.json").read_bytes())["weights_sha256"])


@pytest.mark.parametrize("layer", LAYERS)
def test_interrupted_and_resumed(cases, nursery, write_spec, tmp_path, layer):
    spec = write_spec(epochs=14, threads=2, old='"relu"', new=LAYERS[layer])
    [whole] = nursery.run(tmp_path, "run", spec, "--out", "whole")
    assert whole.code == 0, whole.err
    for case in cases(quick=3, full=40):
        out, number = tmp_path / f"run-{case.number}", list(CODES)[case.number % 3]
        at = float(case.rng.uniform(0.1, 0.6))
        kill = [(at, 0, number)]
        [ended] = nursery.run(
            tmp_path, "run", spec, "--out", out, kill=kill, before=ARMED, seconds=20
        )
        if ended.code != 0:  # else it was done before
            assert ended.code in (CODES[number], -number), ended  # before the command began
            assert "Traceback" not in ended.err
            assert not list(tmp_path.rglob(".*.tmp"))  # a lock that nobody holds is no harm
        status = out / "status.json"
        is_done = status.exists() and json.loads(status.read_bytes())["status"] == "done"
        if ended.code and not is_done and list(out.glob("checkpoints/last.*")):
            assert re.search(rf"= help: cnnkit resume {out}\n", ended.err), ended.err
            assert json.loads((out / "status.json").read_bytes())["status"] == "interrupted"
            [ended] = nursery.run(tmp_path, "resume", out)
            assert ended.code == 0, ended.err
            assert sha256(out) == sha256(tmp_path / "whole")


def test_twice(cases, nursery, write_spec, tmp_path):
    """The second signal does not wait; what was saved before is whole."""
    spec = write_spec(epochs=10_000, threads=2)
    text = spec.read_text()
    spec.write_text(f"{text}checkpoint = {{ steps = 2 }}\n")
    for case in cases(quick=2, full=60):
        out, number = tmp_path / f"run-{case.number}", list(CODES)[case.number % 3]
        at = float(case.rng.uniform(0.1, 0.6))
        kill = [(at, 0, number), (at + float(case.rng.uniform(0, 0.01)), 0, number)]
        [ended] = nursery.run(tmp_path, "run", spec, "--out", out, kill=kill, before=ARMED)
        assert ended.code in (CODES[number], -number), ended
        if list(out.glob("checkpoints/last.*")):
            [judged] = nursery.run(tmp_path, "evaluate", out)
            assert judged.code == 0, judged.err
