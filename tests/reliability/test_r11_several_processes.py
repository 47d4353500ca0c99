"""R11: several processes on one run directory, lock or download: one wins, the others say who."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cnnkit.runs.checkpoint import Checkpoint
from cnnkit.runs.directory import StoredRun

pytestmark = pytest.mark.reliability

USED = re.compile(r"error: run directory \S+ (is in use by process (\d+) on|already holds )")
ENDING = "is in use by a process that is just ending"


@pytest.mark.parametrize("count", [2, 8])
def test_one_run_directory(cases, nursery, write_spec, tmp_path, count):
    spec = write_spec(epochs=6)
    for case in cases(quick=1, full=20):
        out = tmp_path / f"run-{case.number}"
        ended = nursery.run(tmp_path, "run", spec, "--out", out, count=count)
        [winner] = [one for one in ended if one.code == 0]
        for one in ended:
            if one is not winner:
                assert one.code == 2
                told = USED.search(one.err)
                assert told or ENDING in one.err, one.err
                assert not told or told[2] in (None, str(winner.pid)), one.err
        assert json.loads((out / "status.json").read_bytes()) == {"status": "done", "epoch": 6}
        assert (out / "metrics.jsonl").read_text().count("\n") == 6
        assert not list(out.rglob(".*"))


@pytest.mark.parametrize("count", [2, 8])
def test_folders_of_their_own(cases, nursery, write_spec, tmp_path, count):
    """Without --out each gets one, also within one second."""
    spec = write_spec(epochs=1)
    for case in cases(quick=1, full=10):
        folder = tmp_path / str(case.number)
        folder.mkdir()
        ended = nursery.run(folder, "run", spec, "--quiet", count=count)
        assert [one.code for one in ended] == [0] * count
        assert len({path.name for path in (folder / "runs" / "small").iterdir()}) == count


def test_a_killed_holder(cases, nursery, write_spec, tmp_path):
    """Its run reads as interrupted, its checkpoints load, and nobody waits for its lock."""
    spec = write_spec(epochs=10_000)
    for case in cases(quick=2, full=20):
        out = tmp_path / f"run-{case.number}"
        kill = [(float(case.rng.uniform(0.1, 0.6)), 0, signal.SIGKILL)]
        [holder] = nursery.run(tmp_path, "run", spec, "--out", out, kill=kill)
        assert holder.code == -signal.SIGKILL
        if (out / "resolved.toml").exists():
            assert StoredRun(out).facts("status.json")["status"] == "interrupted"
        epochs = [Checkpoint.load(path).position.epoch for path in out.glob("checkpoints/last.*")]
        assert all(epochs)
        empty = not [path for path in out.glob("*") if path.name != ".lock"]
        again = ["--set", "train.epochs=1", "--out", out]
        [next_one] = nursery.run(tmp_path, "run", spec, *again)
        assert next_one.code == (0 if empty else 2)
        assert empty or "already holds" in next_one.err  # never in use by who is dead
        if epochs:
            [judged] = nursery.run(tmp_path, "evaluate", out)
            assert judged.code == 0, judged.err
            assert "is no finished run: interrupted after epoch" in judged.err


TAKE = """
import sys, time
from pathlib import Path
from cnnkit.errors import RunError
from cnnkit.runs.directory import Lock
try:
    lock = Lock(Path({folder!r}))
except RunError as error:
    print(error)
    sys.exit(2)
time.sleep({hold})
if {release}:
    lock.release()
"""


def test_a_lock_left_behind(cases, nursery, tmp_path):
    """Of those who find it, one takes it; then another may."""
    for case in cases(quick=2, full=20):
        folder = tmp_path / str(case.number)
        folder.mkdir()
        before = TAKE.format(folder=str(folder), hold=9, release=True)
        nursery.run(folder, before=before, kill=[(0.05, 0, signal.SIGKILL)])
        assert (folder / ".lock").exists()
        before = TAKE.format(folder=str(folder), hold=0.3, release=bool(case.number % 2))
        for _ in range(2):
            ended = nursery.run(folder, before=before, count=6)
            [winner] = [one for one in ended if one.code == 0]
            losers = [one.out for one in ended if one.code == 2]
            assert len(losers) == 5
            assert all(f"in use by process {winner.pid} on " in text for text in losers), losers
        assert (folder / ".lock").exists() is not bool(case.number % 2)


BODY = bytes(range(256)) * 4000
FETCH = """
from pathlib import Path
from cnnkit.base import DataPaths
from cnnkit.datasets.download import Remote, download
download(({mirror!r},), Path("cache/file.gz"), Remote("file.gz", {size}, {sha!r}), DataPaths())
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "file.gz").write_bytes(BODY)
    served = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www"))
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}/"
    served.shutdown()
    thread.join()
    served.server_close()


@pytest.mark.parametrize("count", [2, 8])
def test_one_download(cases, nursery, mirror, tmp_path, count):
    before = FETCH.format(mirror=mirror, size=len(BODY), sha=sha256(BODY).hexdigest())
    for case in cases(quick=1, full=10):
        folder = tmp_path / str(case.number)
        folder.mkdir()
        killed = case.number % 2 * [(float(case.rng.uniform(0, 0.1)), 0, signal.SIGKILL)]
        ended = nursery.run(folder, before=before, count=count, kill=killed)
        codes = [one.code for one in ended]
        assert codes[1:] == [0] * (count - 1), ended
        assert (folder / "cache" / "file.gz").read_bytes() == BODY
        if not killed:
            assert [path.name for path in (folder / "cache").iterdir()] == ["file.gz"]
