"""The worker pool: every job once, failures told, threads ended."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cnnkit.layers import Softmax
from cnnkit.model import Model
from cnnkit.workers import Threads, _blas, one_blas_thread, physical_cores

THREADS = [1, 2, 5]


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("jobs", [0, 1, 2, 7, 100])
def test_every_job_runs_once(threads, jobs):
    with Threads(threads) as pool:
        for _ in range(3):
            seen: list[int] = []
            pool.run(jobs, lambda number, arena, seen=seen: seen.append(number))
            assert sorted(seen) == list(range(jobs))


def test_jobs_really_run_side_by_side():
    """Two jobs that wait for each other end only if two threads take them."""
    meet = threading.Barrier(2, timeout=20)
    with Threads(2) as pool:
        pool.run(2, lambda number, arena: meet.wait())


def test_no_two_workers_share_an_arena():
    meet, arenas = threading.Barrier(3, timeout=20), {}

    def job(number, arena):
        meet.wait()
        arenas[number] = arena

    with Threads(3) as pool:
        pool.run(3, job)
    assert len({id(arena) for arena in arenas.values()}) == 3


def test_the_callers_thread_is_one_of_them():
    seen = []
    with Threads(1) as pool:
        before = threading.active_count()
        pool.run(3, lambda number, arena: seen.append(threading.current_thread()))
        assert threading.active_count() == before
    assert set(seen) == {threading.current_thread()}


@pytest.mark.parametrize("threads", THREADS)
def test_the_lowest_numbered_failure_is_raised_after_all_jobs_ended(threads):
    done = []

    def job(number, arena):
        if number in (3, 5):
            raise ValueError(f"job {number}")
        done.append(number)

    with Threads(threads) as pool:
        with pytest.raises(ValueError, match=r"^job 3$"):
            pool.run(8, job)
        assert sorted(done) == [0, 1, 2, 4, 6, 7]
        pool.run(2, lambda number, arena: done.append(-1))  # and it still works
    assert done.count(-1) == 2


def test_ctrl_c_stops_the_others_and_leaves_the_pool_fit_for_use():
    started, done = threading.Event(), []

    def job(number, arena):
        if threading.current_thread() is threading.main_thread():
            assert started.wait(20)
            raise KeyboardInterrupt
        started.set()
        done.append(number)

    with Threads(2) as pool:
        with pytest.raises(KeyboardInterrupt):
            pool.run(10**9, job)
        seen = []
        pool.run(50, lambda number, arena: seen.append(number))
    assert sorted(seen) == list(range(50))


def test_ctrl_c_while_waiting_leaves_no_answer_for_the_next_run(monkeypatch):
    begun, leave, seen = threading.Event(), threading.Event(), []

    class Interrupted(SimpleQueue):
        def get(self):
            raise KeyboardInterrupt

    def job(number, arena):
        if threading.current_thread() is not threading.main_thread():
            seen.append(arena)
            begun.set()
            assert leave.wait(20)
        assert begun.wait(20)

    with Threads(2) as pool:
        monkeypatch.setattr("cnnkit.workers.SimpleQueue", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.run(1000, job)
        monkeypatch.undo()
        leave.set()
        meet = threading.Barrier(2, timeout=20)
        pool.run(2, lambda number, arena: meet.wait() >= 0 and seen.append(arena))
    assert len(seen) == 3  # the second run has waited for both of its jobs,
    assert all(arena is not seen[0] for arena in seen[1:])  # in memory that nobody else uses


def test_closing_ends_the_threads_twice_over():
    before = threading.active_count()
    pool = Threads(4)
    assert threading.active_count() == before + 3
    pool.close()
    assert threading.active_count() == before
    pool.close()


def test_as_many_threads_as_cores_by_default():
    with Threads() as pool:
        assert pool.count == physical_cores() >= 1


def test_blas_runs_on_one_thread_inside_and_as_before_outside():
    np.ones((2, 2)) @ np.ones((2, 2))  # BLAS is loaded by now
    _blas.cache_clear()  # SciPy, which other tests import, brings a second one of its own

    def threads():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before = threads()
    with one_blas_thread():
        assert set(threads()) == {1}
    assert threads() == before
    with one_blas_thread():
        with one_blas_thread():  # as another thread would
            pass
        assert set(threads()) == {1}
    one, other = one_blas_thread(), one_blas_thread()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)  # the first to come is the first to go
    assert set(threads()) == {1}
    other.__exit__(None, None, None)
    assert threads() == before


def test_a_limit_that_others_set_after_a_prediction_ends_as_it_began():
    def threads():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before = threads()
    model = Model.build([Softmax(units=2)], (3,))
    model.predict(np.ones((1, 3), np.float32))
    assert threads() == before
    with threadpool_limits(1):  # as scikit-learn does
        model.predict(np.ones((1, 3), np.float32))
        assert set(threads()) == {1}
    assert threads() == before


def test_a_single_job_raises_as_it_is():
    with Threads(2) as pool, pytest.raises(ZeroDivisionError):
        pool.run(1, lambda number, arena: 1 // number)


def test_a_single_job_runs_where_overflow_is_no_news():
    results = []
    with Threads(2) as pool, np.errstate(over="raise"):
        pool.run(1, lambda number, arena: results.append(np.float32(1e30) * np.float32(1e30)))
    assert results == [np.inf]
