"""Forked workers: the same bits as threads, and nothing lost where one of them fails."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from cnnkit import workers
from cnnkit.arrays import flatten
from cnnkit.base import Split
from cnnkit.engine import step
from cnnkit.errors import CnnkitError
from cnnkit.files.tensors import digest
from cnnkit.layers import Relu
from cnnkit.model import Model
from cnnkit.runs.session import trainer_of
from cnnkit.specfile.load import load_spec
from cnnkit.workers import Processes, Threads, can_fork, shared_vector

pytestmark = pytest.mark.skipif(not can_fork(), reason="workers are forked on Linux only")
TINY = Path(__file__).parents[2] / "specs" / "tiny.toml"


def double(request):
    return request * 2.0


@pytest.fixture
def hired():
    teams = []

    def hire(workers, handle, longest=8):
        teams.append(Processes(workers, handle, longest))
        return teams[-1]

    yield hire
    for one in teams:
        one.close()


def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_requests_and_replies(hired):
    pair = hired(2, double)
    assert [pair.send(i, [i, 21]) for i in range(2)] == [True, True]
    assert [pair.receive(i).tolist() for i in range(2)] == [[0, 42], [2, 42]]


def test_workers_write_where_the_parent_reads(hired):
    vector = shared_vector(3, np.float32)

    def handle(request):
        vector[:] = request
        return request

    one = hired(1, handle)
    one.send(0, [1, 2, 3])
    one.receive(0)
    assert vector.tolist() == [1, 2, 3]


def test_a_failing_worker_answers_nothing_and_goes_on(hired):
    def handle(request):
        return 1 / request[0] if request[0] == 0 else request

    with np.errstate(divide="raise"):
        one = hired(1, handle)
    one.send(0, [0])
    assert one.receive(0) is None
    one.send(0, [5])
    assert one.receive(0).tolist() == [5]


def test_a_dead_worker_is_noticed_not_waited_for(hired):
    pair = hired(2, double)
    os.kill(pair._pids[0], signal.SIGKILL)
    os.waitpid(pair._pids[0], 0)
    pair.send(0, [1])
    assert pair.receive(0) is None
    assert pair.send(0, [1]) is False
    pair.send(1, [4])
    assert pair.receive(1).tolist() == [8]


def test_closing_leaves_no_process_and_no_descriptor():
    before, files = children(), descriptors()
    pair = Processes(3, double, 8)
    assert len(children()) == len(before) + 3
    pair.close()
    assert children() == before
    assert descriptors() == files


def test_closing_does_not_wait_for_others_who_were_forked_meanwhile():
    first = Processes(1, double, 8)
    second = Processes(1, double, 8)  # whose worker has inherited the first one's line
    first.close()
    second.close()


def test_a_machine_without_processes_to_spare(monkeypatch):
    def no_more():
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", no_more)
    assert len(Processes(2, double, 8)) == 0


def trained(threads, batch=64, handle=None, images=200, **train):
    settings = {"batch": batch, "threads": threads, "epochs": 2, **train}
    spec = load_spec(TINY, [f"train.{key}={value}" for key, value in settings.items()])
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (images, 1, 8, 8), np.uint8)
    split = Split(pictures, rng.integers(0, 10, images))
    layers = list(spec.model.layers)
    if handle is not None:
        layers.insert(1, handle)
    model = Model.build(
        layers, (1, 8, 8), transforms=spec.data.transforms, classes=tuple("0123456789")
    )
    with Threads(threads) as pool:
        losses = [epoch.train_loss for epoch in trainer_of(spec, model, pool).run(split, None)]
    return losses, digest(flatten(model.weights))


def test_the_bits_are_those_of_one_thread():
    expected = trained(1, shard=16)
    assert trained(2, shard=16) == expected
    assert trained(3, shard=16) == expected
    assert children() == []


def test_processes_really_share_the_work(monkeypatch):
    seen = []
    answer = Processes.receive
    monkeypatch.setattr(Processes, "receive", lambda *args: seen.append(args[1]) or answer(*args))
    trained(2)
    assert len(seen) == 2 * 3  # of 200 images, 3 batches of 64; the last 8 are one shard


def test_they_share_batches_of_any_size(monkeypatch):
    """Indices of 60 000 images do not go through a socket."""
    answers = []
    answer = Processes.receive
    monkeypatch.setattr(
        Processes, "receive", lambda *args: answers.append(answer(*args)) or answers[-1]
    )
    losses, sha256 = trained(2, batch=60_000, images=60_000, epochs=1)
    assert [len(reply) for reply in answers] == [60_000 // 32 // 2]
    assert (losses, sha256) == trained(1, batch=60_000, images=60_000, epochs=1)


def test_no_more_memory_is_set_aside_than_the_images_need(monkeypatch):
    sizes = []
    monkeypatch.setattr(
        step, "shared_vector", lambda size, dtype: sizes.append(size) or np.zeros(size, dtype)
    )
    trained(2, batch=100_000)
    assert len(sizes) == 1 + 200 // 32 + 1  # the rows, and a gradient for each shard of 32


def test_threads_give_the_same_where_nothing_can_be_forked(monkeypatch):
    expected = trained(2)
    monkeypatch.setattr(step, "can_fork", lambda: False)
    assert trained(2) == expected


class KilledOnce(Relu):
    """Kills the worker that runs it; the parent computes on."""

    parent: int = 0

    def forward(self, x, w, ctx):
        if os.getpid() != self.parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x, w, ctx)


def test_a_killed_worker_costs_time_but_no_bits():
    expected = trained(1, handle=Relu())
    assert trained(2, handle=KilledOnce(parent=os.getpid())) == expected


class Raises(Relu):
    """A fault that only shows in a worker is the parent's to find, or not to find."""

    everywhere: bool = True

    def forward(self, x, w, ctx):
        if ctx.key[3] == 1:
            raise ValueError("shard 1 does not please me")
        return super().forward(x, w, ctx)


def test_a_fault_in_a_worker_is_raised_by_the_parent():
    with pytest.raises(CnnkitError, match="shard 1 does not please me"):
        trained(2, handle=Raises())
    assert children() == []


def test_requests_too_long_for_a_socket_are_the_parents(hired, monkeypatch):
    assert hired(1, double, 10**6).send(0, range(10**6)) is False
    assert workers.can_fork()


def test_a_default_timeout_of_sockets_changes_nothing(hired):
    """Any library may set it; a slow answer is waited for all the same."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(0.001)
    try:
        one = hired(1, lambda request: time.sleep(0.05) or request)
        one.send(0, [7])
        assert one.receive(0).tolist() == [7]
        assert trained(2) == trained(1)
    finally:
        socket.setdefaulttimeout(before)


def test_a_late_reply_answers_no_other_request(hired):
    one = hired(1, double)
    one.send(0, [1])
    one.send(0, [2])  # the first one's reply was never asked for
    assert one.receive(0).tolist() == [4]


def test_a_stopped_process_does_not_keep_the_parent(hired):
    one = hired(1, double)
    os.kill(one._pids[0], signal.SIGSTOP)
    started = time.monotonic()
    one.close()
    assert time.monotonic() - started < 5


def test_a_process_given_up_is_gone_before_its_work_is_done_again(hired):
    one = hired(1, double)
    pid = one._pids[0]
    one._lines[0].shutdown(socket.SHUT_RD)
    assert one.receive(0) is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
